"""Corruption of valid files, and the property of every reader: it reads a file, or refuses it with InputError.

A property is a function of a drawn example. `fuzz` checks it on many examples; `EFFORT` parametrises how many: few by
default, always the same ones; with `pytest -m long` twenty times as many, different ones in every session.
"""

import contextlib
import tracemalloc

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from leo_tf.errors import InputError

EFFORT = pytest.mark.parametrize("effort", [1, pytest.param(20, marks=pytest.mark.long)], ids=["quick", "long"])
_PIECES = (b"\0", b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0" * 8, b"9" * 20, b"\n", b"-1", b"1e999")
_KINDS = ("flip", "cut off", "insert", "overwrite", "leave out", "repeat", "swap")


def fuzz(strategy, check, examples, effort):
    """Check a property on `examples` times `effort` examples of a strategy."""
    long = effort > 1
    how = settings(
        max_examples=examples * effort,
        derandomize=not long,
        database=None,
        deadline=20_000,  # milliseconds per file
        print_blob=True,
        phases=[Phase.explicit, Phase.generate, *([Phase.shrink] if long else [])],
        suppress_health_check=list(HealthCheck),
    )
    how(given(strategy)(check))()


@st.composite
def mutated(draw, originals, most=4):
    """Draw one of the byte strings, with a few changes."""
    content = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, most))):
        kind, at = draw(st.sampled_from(_KINDS)), draw(st.integers(0, max(0, len(content) - 1)))
        end = min(len(content), at + draw(st.integers(1, 64)))
        piece = draw(st.sampled_from(_PIECES) | st.binary(min_size=1, max_size=8))
        if kind == "flip" and content:
            content[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut off":
            del content[at:]
        elif kind == "insert":
            content[at:at] = piece
        elif kind == "overwrite":
            content[at : at + len(piece)] = piece
        elif kind == "leave out":
            del content[at:end]
        elif kind == "repeat":
            content[at:at] = content[at:end] * draw(st.integers(1, 20))
        elif kind == "swap":
            other = draw(st.integers(0, max(0, len(content) - 1)))
            content[at:end], content[other : other + end - at] = content[other : other + end - at], content[at:end]
    return bytes(content)


def corrupted(*originals):
    """Return a strategy of bytes: valid files with a few changes, sometimes arbitrary bytes."""
    return st.one_of(mutated(list(originals)), mutated(list(originals)), mutated(list(originals)), st.binary())


@contextlib.contextmanager
def refusing():
    """Accept InputError if its message has a readable length."""
    try:
        yield
    except InputError as error:
        assert 20 < len(str(error)) < 10_000, str(error)[:1000]


@contextlib.contextmanager
def little_memory(most):
    """Require that Python and NumPy never allocate more than `most` bytes in the block, beyond what is freed."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < most, f"{peak:,} bytes were allocated"
