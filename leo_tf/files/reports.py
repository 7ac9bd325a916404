"""JSON files of evaluations: their names, and the library versions that produced them."""

import importlib.metadata
import platform
from pathlib import Path

_LIBRARIES = ("tensorflow", "keras", "numpy", "scipy")


def beside(output: Path, name: str) -> Path:
    """Return the path of the report `name` that belongs to the one at `output`."""
    return output.with_name(f"{output.stem}-{name}.json")


def versions() -> dict[str, str]:
    """Return the versions of leo_tf, Python and the libraries that results depend on."""
    import leo_tf

    return {
        "leo_tf": leo_tf.__version__,
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in _LIBRARIES},
    }
