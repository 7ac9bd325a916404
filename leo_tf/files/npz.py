"""Files of plain arrays: written whole or not at all, read without pickle, checked before they are believed."""

import lzma
import math
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np

from leo_tf.errors import InputError
from leo_tf.files.atomic import replace_file
from leo_tf.files.writing import writing

_MOST_EXPANSION, _ALWAYS_FINE = 100, 2**26  # of compressed bytes: arrays of numbers shrink to a tenth at most
_LONGEST_HEADER = 10_000  # bytes; NumPy's own limit, which it checks once it has read so many
_LONGEST_TEXT = 4000  # bytes of one string of an array
# What numpy and zipfile raise, beside OSError, for files that are damaged or made to do harm.
DAMAGE = (
    *(ValueError, LookupError, TypeError, AttributeError, ArithmeticError, EOFError, SyntaxError, RuntimeError),
    *(MemoryError, SystemError, struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)


def write(path, **fields):
    """Write arrays, numbers and texts.

    Raises:
      InputError: the file cannot be written.
    """
    with writing(path), replace_file(Path(path)) as file:
        np.savez_compressed(file, **fields)


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
        require_honest(path, expected)
        with np.load(path, allow_pickle=False) as archive:
            for name, (kinds, rank) in expected.items():
                value = archive[name]
                if value.dtype.kind not in kinds or value.ndim != rank:
                    raise ValueError(f"{name} has dtype {value.dtype} and {value.ndim} axes")
                fields[name] = value if rank else value.item()
    except OSError as error:
        raise InputError(f"Cannot read {path} ({error.strerror or error}); expected {what}.") from None
    except DAMAGE as error:
        raise damaged(path, error, what) from None
    return fields


def mapped(path, mode="r"):
    """Return the array of an .npy file, memory-mapped; of an archive what `numpy.load` makes of it.

    Args:
      path: the file.
      mode: as numpy.load's mmap_mode.

    Raises:
      OSError or one of DAMAGE: no file, or it is damaged.
    """
    with open(path, "rb") as file:
        magic, version, _, length = (file.read(count) for count in (6, 1, 1, 4))
    # Version 1 has two bytes for the length of the header; NumPy takes the memory for those that the others declare.
    if magic == np.lib.format.MAGIC_PREFIX and version > b"\1" and int.from_bytes(length, "little") > _LONGEST_HEADER:
        raise ValueError(f"its header declares more than {_LONGEST_HEADER} bytes")
    return np.load(path, mmap_mode=mode, allow_pickle=False)


def names(path, what):
    """Return the set of names of an archive's arrays; raises as `read`."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {name.removesuffix(".npy") for name in archive.namelist()}
    except OSError as error:
        raise InputError(f"Cannot read {path} ({error.strerror or error}); expected {what}.") from None
    except DAMAGE as error:
        raise damaged(path, error, what) from None


def damaged(path, error, what):
    """Return the InputError of a file that is not what it should be; `error` is an exception, or says why."""
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return InputError(f"{path} is damaged or something else ({reason[:200]}); expected {what}.")


def require_honest(path, wanted):
    """Check that arrays of an archive are of the size that they say, before memory or time is spent on them.

    Args:
      path: of the npz file.
      wanted: names of the arrays; those that are missing are not checked.

    Raises:
      ValueError: an array declares more than it holds, or expands beyond what arrays of numbers do.
      OSError, zipfile.BadZipFile: there is no such archive.
    """
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.filename.removesuffix(".npy") in wanted:
                _require_honest(archive, member)


def _require_honest(archive, member):
    if member.file_size > max(_ALWAYS_FINE, _MOST_EXPANSION * member.compress_size):
        raise ValueError(
            f"{member.filename} says that {member.compress_size} bytes expand to {member.file_size}, as no numbers do"
        )
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read_header is None:
            raise ValueError(f"{member.filename} is an array of format {version}, expected 1.0 or 2.0")
        shape, _, dtype = read_header(file)
        size = file.tell() + math.prod(shape) * dtype.itemsize
    if not dtype.hasobject and size != member.file_size:  # NumPy refuses objects itself
        raise ValueError(f"{member.filename} declares {dtype} {shape}, {size} bytes, and holds {member.file_size}")
    if dtype.kind in "SU" and dtype.itemsize > _LONGEST_TEXT:
        raise ValueError(f"{member.filename} holds strings of {dtype.itemsize} bytes, expected at most {_LONGEST_TEXT}")
