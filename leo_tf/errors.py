"""The error for a user's mistake, values as its messages show them, and the check for optional packages."""

import importlib.util
from typing import Any

_PACKAGES = {"PIL": "Pillow", "sklearn": "scikit-learn"}  # by the name to import: the name to install


class InputError(ValueError):
    """Bad input from the user: data, settings, a run directory.

    A command prints the message and the flags of the settings, and exits with status 2. Any other exception is a defect
    and keeps its traceback.

    Args:
      message: what was received, what was expected and what to do; it calls settings by their names, without dashes.
      *settings: names of the settings that the message is about.

    Example:
      >>> try:
      ...     leo_tf.LEOConfig(num_latents=0)
      ... except leo_tf.InputError as error:
      ...     print(error, error.settings)
      num_latents=0 was given; expected a whole number from 1 to 4096. ('num_latents',)
    """

    def __init__(self, message: str, *settings: str) -> None:
        super().__init__(message)
        self.settings = settings


def shown(value: Any, most: int = 200) -> str:
    """Return the repr of a value for a message, shortened to `most` characters."""
    try:
        text = repr(value)
    except ValueError:  # Python refuses to print a whole number of more than 4,300 digits
        return f"a number of {value.bit_length()} bits" if isinstance(value, int) else f"a {type(value).__name__}"
    return text if len(text) <= most else f"{text[:most]}..."


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, at most 300 characters, or its type if it has no message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def has_package(module: str) -> bool:
    """Return whether an optional package is installed, without importing it."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # its parent package is missing, or it is blocked
        return False


def require_package(module: str, purpose: str) -> None:
    """Raise InputError unless an optional package is installed; `purpose` is what needs it: "The report"."""
    if not has_package(module):
        package = module.partition(".")[0]
        package = _PACKAGES.get(package, package)
        raise InputError(f"{purpose} needs {package}, which is not installed: pip install {package}.")
