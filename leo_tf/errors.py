"""The one error a user can cause."""


class InputError(ValueError):
    """Bad input from the user: data, flags, a run folder.

    The message says what was received, what was expected and what to do. The command line tools print it and exit with
    status 2; any other exception is a defect and keeps its traceback.
    """
