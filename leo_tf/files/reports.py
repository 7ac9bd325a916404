"""The JSON files of evaluations."""

import importlib.metadata
import json
import platform

from leo_tf.errors import InputError
from leo_tf.files.atomic import replace_file

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


def write_json(path, summary):
    """Write a dict, whole or not at all.

    Raises:
      InputError: the file cannot be written.
    """
    try:
        with replace_file(path) as file:
            file.write((json.dumps(summary, indent=2) + "\n").encode())
    except OSError as error:
        raise InputError(f"Cannot write {path} ({error.strerror}); give an --output that can be written.") from None
