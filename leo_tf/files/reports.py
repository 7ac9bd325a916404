"""The JSON files of evaluations: what goes beside what, and which versions made it."""

import importlib.metadata
import platform

_LIBRARIES = ("tensorflow", "keras", "numpy", "scipy")


def beside(output, name):
    """Return the path of a report that goes with the one at `output`."""
    return output.with_name(f"{output.stem}-{name}.json")


def versions():
    """Return the versions of what an evaluation ran on, a dict."""
    import leo_tf

    return {
        "leo_tf": leo_tf.__version__,
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in _LIBRARIES},
    }
