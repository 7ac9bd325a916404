"""Replacements for the functions that pickles of NumPy arrays call, because the arguments there may be hostile.

They refuse an object dtype, a shape of terabytes or a subclass with a ValueError; the real functions are never called.
"""

import dataclasses
import math
import re
from collections.abc import Callable
from typing import Final

import numpy as np

_PLAIN_DTYPE = re.compile(r"f[248]|[iu][1248]|b1|[SU][1-9][0-9]{0,5}")
_MAX_AXES = 8


@dataclasses.dataclass(eq=False)
class Unbuilt:
    """Object without its state: pickle creates dtypes and arrays in two steps, REDUCE and BUILD."""

    build: Callable[[object], object]
    built: object = None


@dataclasses.dataclass(eq=False)
class Global:
    """Name that a pickle may ask for, with its replacement `call`; None if the name is only used as an argument."""

    call: Callable[..., object] | None


def _dtype(descriptor: object, *_: object) -> Unbuilt:
    if not isinstance(descriptor, str) or not _PLAIN_DTYPE.fullmatch(descriptor):
        shown = repr(descriptor)[:40] if isinstance(descriptor, str) else type(descriptor).__name__
        raise ValueError(f"it holds an array of dtype {shown}, not of numbers or strings")

    def build(state: object) -> np.dtype:
        """Take (version, byte order, subarray, field names, fields, item size, alignment, flags)."""
        if not isinstance(state, tuple) or len(state) != 8 or any(part is not None for part in state[2:5]):
            raise ValueError(f"its dtype {descriptor!r} has an unexpected state")
        if not isinstance(state[1], str) or state[1] not in ("<", ">", "|", "="):
            raise ValueError(f"its dtype {descriptor!r} has an unexpected byte order")
        return np.dtype(state[1] + descriptor)

    return Unbuilt(build)


def _reconstruct(array_type: object, _shape: object, _typecode: object) -> Unbuilt:
    """Begin an array; its shape and type here are placeholders that the state of NumPy's own pickles overwrites."""
    if array_type is not _NDARRAY:
        raise ValueError("it holds an array of another class than numpy.ndarray")

    def build(state: object) -> np.ndarray:
        """Take (version, shape, dtype, is in Fortran order, bytes)."""
        if not isinstance(state, tuple) or len(state) != 5:
            raise ValueError("an array has an unexpected state")
        _, shape, dtype, fortran_order, raw = state
        return _array(raw, dtype, shape, "F" if fortran_order is True else "C")

    return Unbuilt(build)


def _encode(text: object, encoding: object) -> bytes:
    """Return the bytes that Python 3 wrote as text, because protocols 0 to 2 have no bytes."""
    if not isinstance(text, str) or not isinstance(encoding, str) or encoding not in ("latin1", "latin-1"):
        raise ValueError("it encodes something other than bytes written as Latin-1 text")
    return text.encode("latin1")


def _array(raw: object, dtype: object, shape: object, order: object) -> np.ndarray:
    """Return a read-only array that shares the memory of `raw`."""
    if isinstance(raw, str):  # a byte string of Python 2
        raw = raw.encode("latin1")
    if not isinstance(raw, (bytes, memoryview)) or not isinstance(dtype, np.dtype):
        raise ValueError("an array comes without its bytes or its dtype")
    if not isinstance(shape, tuple) or len(shape) > _MAX_AXES or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError("an array has an impossible shape")
    if not isinstance(order, str) or order not in ("C", "F"):
        raise ValueError("an array has an order other than C or F")
    if math.prod(shape) * dtype.itemsize != len(raw):
        raise ValueError(f"an array of {math.prod(shape):.3g} items of type {dtype} comes with {len(raw)} bytes")
    if not len(raw):
        return np.empty(shape, dtype)
    if dtype.kind == "U" and np.frombuffer(raw, np.dtype("u4").newbyteorder(dtype.byteorder)).max() > 0x10FFFF:
        raise ValueError("an array of strings holds numbers that are not characters")
    return np.frombuffer(raw, dtype).reshape(shape, order="F" if order == "F" else "C")


_NDARRAY = Global(None)

GLOBALS: Final = {
    "numpy.core.multiarray._reconstruct": Global(_reconstruct),
    "numpy.core.multiarray.scalar": Global(lambda dtype, raw: _array(raw, dtype, (), "C")[()]),
    "numpy.core.numeric._frombuffer": Global(_array),  # protocol 5
    "numpy.ndarray": _NDARRAY,
    "numpy.dtype": Global(_dtype),
    "_codecs.encode": Global(_encode),
}
