"""The one error a user can cause, what its messages show, and the check for packages that not everybody has."""

import importlib.util

_PACKAGES = {"PIL": "Pillow", "sklearn": "scikit-learn"}  # where the name to install is another than that to import


class InputError(ValueError):
    """Bad input from the user: data, flags, a run folder.

    The message says what was received, what was expected and what to do, and calls settings by their names. The command
    line tools print it, settings as flags, and exit with status 2; any other exception is a defect and keeps its
    traceback.

    Example:
      >>> try:
      ...     leo_tf.LEOConfig(num_latents=0)
      ... except leo_tf.InputError as error:
      ...     print(error)
      num_latents=0 was given; expected a whole number from 1 to 4096.
    """


def shown(value, most=200):
    """Return a value for a message: its repr, cut off where it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no number of more than 4,300 digits
        return f"a number of {value.bit_length()} bits" if isinstance(value, int) else f"a {type(value).__name__}"
    return text if len(text) <= most else f"{text[:most]}..."


def require_package(module, purpose):
    """Raise where an optional package is not installed.

    Args:
      module: the name to import.
      purpose: what needs it, the beginning of a sentence: "The report".

    Raises:
      InputError: it is not installed.
    """
    try:
        found = importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # its parent is missing, or it is blocked
        found = False
    if not found:
        package = module.partition(".")[0]
        package = _PACKAGES.get(package, package)
        raise InputError(f"{purpose} needs {package}, which is not installed: pip install {package}.")
