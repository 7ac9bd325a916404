"""Files of plain arrays: written atomically, read without pickle, checked before memory is spent on them."""

import math
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

import numpy as np

from leo_tf.files.reading import reading
from leo_tf.files.writing import replace_file, writing

_MAX_EXPANSION, _ALWAYS_ALLOWED = 100, 2**26  # of compressed bytes: arrays of numbers shrink to a tenth at most
_MAX_HEADER = 10_000  # bytes; NumPy has the same limit, but checks it only after reading the header
_MAX_STRING = 4000  # bytes of one string in an array


def write(path: str | Path, **fields: Any) -> None:
    """Write arrays, numbers and strings to a compressed npz file."""
    with writing(path), replace_file(Path(path)) as file:
        np.savez_compressed(file, **fields)


def read(path: str | Path, what: str, **expected: tuple[str, int]) -> dict[str, Any]:
    """Read fields that `write` wrote; those of rank 0 become Python numbers or strings.

    `what` is as `expected` of `reading`; `expected` has (letters of `numpy.dtype.kind`, number of axes) of each field.
    """
    fields = {}
    with reading(path, what):
        check_declared_sizes(path, expected)
        with np.load(path, allow_pickle=False) as archive:
            for name, (kinds, rank) in expected.items():
                value = archive[name]
                if value.dtype.kind not in kinds or value.ndim != rank:
                    raise ValueError(f"{name} has dtype {value.dtype} and {value.ndim} axes")
                fields[name] = value if rank else value.item()
    return fields


def memory_map(path: str | Path, mode: Literal["r", "c"] = "r") -> Any:
    """Return the memory-mapped array of an .npy file, or `numpy.load`'s archive; raise OSError or ValueError."""
    with open(path, "rb") as file:
        magic, version, _, length = (file.read(count) for count in (6, 1, 1, 4))
    # Version 1 has two bytes for the length of the header. For later versions NumPy allocates what four bytes declare.
    if magic == np.lib.format.MAGIC_PREFIX and version > b"\1" and int.from_bytes(length, "little") > _MAX_HEADER:
        raise ValueError(f"its header declares more than {_MAX_HEADER} bytes")
    return np.load(path, mmap_mode=mode, allow_pickle=False)


def array_names(path: str | Path, what: str) -> set[str]:
    """Return the names of an archive's arrays; `what` and errors as in `read`."""
    with reading(path, what), zipfile.ZipFile(path) as archive:
        return {name.removesuffix(".npy") for name in archive.namelist()}


def check_declared_sizes(path: str | Path, names: Collection[str]) -> None:
    """Raise ValueError if an array of these names declares more than it holds, or expands beyond what numbers do."""
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.filename.removesuffix(".npy") in names:
                _check_member(archive, member)


def _check_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    if member.file_size > max(_ALWAYS_ALLOWED, _MAX_EXPANSION * member.compress_size):
        raise ValueError(
            f"{member.filename} declares that {member.compress_size} bytes expand to {member.file_size}, which numbers "
            "never do"
        )
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"{member.filename} is an array of format {version}, expected 1.0 or 2.0")
        format_1 = version == (1, 0)
        read_header = np.lib.format.read_array_header_1_0 if format_1 else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(file)
        size = file.tell() + math.prod(shape) * dtype.itemsize
    if not dtype.hasobject and size != member.file_size:  # NumPy refuses objects itself
        raise ValueError(f"{member.filename} declares {dtype} {shape}, {size} bytes, but holds {member.file_size}")
    if dtype.kind in "SU" and dtype.itemsize > _MAX_STRING:
        raise ValueError(f"{member.filename} holds strings of {dtype.itemsize} bytes, expected at most {_MAX_STRING}")
