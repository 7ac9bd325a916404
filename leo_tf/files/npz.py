"""Small npz files of plain arrays: written whole or not at all, read without pickle, checked as they are read."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from leo_tf.errors import InputError
from leo_tf.files.atomic import replace_file

_DAMAGE = (ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)


def write(path, **fields):
    """Write arrays, numbers and texts.

    Raises:
      InputError: the file cannot be written.
    """
    try:
        with replace_file(Path(path)) as file:
            np.savez_compressed(file, **fields)
    except OSError as error:
        raise InputError(f"Cannot write {path} ({error.strerror}); give a path that can be written.") from None


def read(path, what, **expected):
    """Read the fields that `write` wrote.

    Args:
      path: the file.
      what: what it should be, for messages: "a task file of evaluate.py --write_tasks".
      **expected: for each field (kinds, rank): letters of `numpy.dtype.kind` and the number of axes.

    Returns:
      {name: array}, or for rank 0 the Python number or text.

    Raises:
      InputError: there is no such file, or it is damaged or something else.
    """
    fields = {}
    try:
        with np.load(path, allow_pickle=False) as archive:
            for name, (kinds, rank) in expected.items():
                value = archive[name]
                if value.dtype.kind not in kinds or value.ndim != rank:
                    raise ValueError(f"{name} has dtype {value.dtype} and {value.ndim} axes")
                fields[name] = value if rank else value.item()
    except OSError as error:
        raise InputError(f"Cannot read {path} ({error.strerror or error}); expected {what}.") from None
    except (*_DAMAGE, AttributeError, TypeError) as error:  # the last two: an npy, which is no archive
        raise InputError(f"{path} is damaged or something else ({error}); expected {what}.") from None
    return fields
