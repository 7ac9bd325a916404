"""Conversion of embeddings: check them, group them by class, cast them to float32, scale them to unit length.

The rows, which may be memory-mapped, are processed in chunks: a table of a gigabyte takes tens of megabytes more.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import numpy as np

from leo_tf.errors import InputError
from leo_tf.transforms import unit_length

LONGEST_NAME = 1000  # characters of a class's name: a small file can refer to one huge string a million times
ROWS_AT_ONCE = 8192  # 42 MB of float64 at 640 dimensions


class Split(NamedTuple):
    """Content of a split's file, rows in any order."""

    embeddings: np.ndarray  # [rows, dim], of the type on disk
    labels: Sequence[object]  # the class of each row: strings or integers
    source: str  # for messages


class GroupedEmbeddings(NamedTuple):
    """Rows sorted by class: class c is the c-th run of class_sizes[c] rows."""

    embeddings: np.ndarray  # [rows, dim] float32
    class_names: tuple[str, ...]
    class_sizes: Any  # [classes], a tuple of integers
    digest: str  # SHA-256 of the content, in hex


def check_embeddings(embeddings: np.ndarray, num_labels: int, source: str) -> None:
    """Raise InputError unless embeddings are a finite, non-empty matrix [rows, dim] with one label per row."""
    if embeddings.dtype.kind not in "fiu":
        raise InputError(f"{source}: embeddings of type {embeddings.dtype}; expected float16, float32 or float64.")
    if embeddings.ndim != 2:
        raise InputError(f"{source}: embeddings of shape {embeddings.shape}; expected two axes, [rows, dim].")
    if embeddings.size == 0:
        raise InputError(f"{source}: embeddings of shape {embeddings.shape} hold no numbers; expected a row.")
    if len(embeddings) != num_labels:
        raise InputError(f"{source}: {len(embeddings)} embeddings but {num_labels} labels; expected one label per row.")
    starts = range(0, len(embeddings), ROWS_AT_ONCE)
    finite = [np.isfinite(_to_float32(embeddings[start : start + ROWS_AT_ONCE])).all(axis=1) for start in starts]
    bad = np.flatnonzero(~np.concatenate(finite))
    if len(bad):
        raise InputError(
            f"{source}: {len(bad)} of {len(embeddings)} rows hold NaN, infinity or a number too large for float32, the "
            f"first is row {bad[0]}; expected finite embeddings. Recompute or remove these rows."
        )


def class_name(label: object, source: str) -> str:
    """Return the class name that a label stands for; integers become decimal strings."""
    if isinstance(label, (str, bytes)) and len(label) > LONGEST_NAME:
        length = f"{len(label)} characters; expected at most {LONGEST_NAME}"
        raise InputError(f"{source}: label {shown(label)}... of {length}.")
    if isinstance(label, bytes):
        label = label.decode("latin1")
    elif isinstance(label, (int, np.integer)):
        label = str(int(label))
    if not isinstance(label, str) or not label:
        raise InputError(f"{source}: label {shown(label)}; expected a non-empty string or an integer for every row.")
    return str(label)


def shown(value: object) -> str:
    """Return a short form for a message. Of containers only the type: a hostile one can have an endless repr."""
    if isinstance(value, (str, bytes)):
        return repr(value[:80])
    return repr(value)[:80] if isinstance(value, (int, float, np.generic)) else type(value).__name__


def convert(splits: Sequence[Split], normalize: bool, emit: Callable[[np.ndarray], object]) -> GroupedEmbeddings:
    """Pass the rows of splits to `emit` in chunks, sorted by class.

    Splits keep their order. Within a split, classes are sorted by name (numbers by value), and the rows of a class keep
    their order. The digest is computed before normalisation, whose last bit may differ between machines.

    The splits have passed `check_embeddings`; chunks are float32 [<= ROWS_AT_ONCE, dim]; rows of zeros stay zero. The
    `embeddings` of the result are empty, [0, dim].
    """
    names: list[str] = []
    sizes: list[int] = []
    digests: list[str] = []
    dim = splits[0].embeddings.shape[1]
    for embeddings, labels, source in splits:
        if embeddings.shape[1] != dim:
            other = f"{dim}, as {splits[0].source}"
            raise InputError(f"{source}: embeddings of dim {embeddings.shape[1]}; expected {other}.")
        counts, order = _group(labels, source)
        refuse_shared_classes(names, counts, source)
        header = {"dim": dim, "names": list(counts), "sizes": list(counts.values()), "normalize": bool(normalize)}
        digest = hashlib.sha256(json.dumps(header).encode())
        for start in range(0, len(order), ROWS_AT_ONCE):
            rows = np.ascontiguousarray(_to_float32(embeddings[order[start : start + ROWS_AT_ONCE]]))
            digest.update(rows.data)
            # In float64, because the square of a float32 can exceed its range.
            emit(unit_length(rows.astype(np.float64)).astype(np.float32) if normalize else rows)
        names += counts
        sizes += counts.values()
        digests.append(digest.hexdigest())
    return GroupedEmbeddings(np.empty((0, dim), np.float32), tuple(names), tuple(sizes), join_digests(digests))


def convert_in_memory(splits: Sequence[Split], normalize: bool) -> GroupedEmbeddings:
    """Convert as `convert` does, into a new array."""
    dim = splits[0].embeddings.shape[1]
    table = np.empty((sum(len(split.embeddings) for split in splits), dim), np.float32)
    filled = 0

    def append(rows: np.ndarray) -> None:
        nonlocal filled
        table[filled : filled + len(rows)] = rows
        filled += len(rows)

    return convert(splits, normalize, append)._replace(embeddings=table)


def refuse_shared_classes(known: Collection[str], names: Collection[str], source: str) -> None:
    """Raise InputError if a class of `names` is in `known`: joined splits must not share classes."""
    shared = sorted(set(known).intersection(names))
    if shared:
        raise InputError(
            f"{source}: {len(shared)} of its classes are in the other splits too, the first is {shared[0]!r}; expected "
            "splits without common classes."
        )


def join_digests(digests: Sequence[str]) -> str:
    """Return the digest of concatenated tables."""
    return digests[0] if len(digests) == 1 else hashlib.sha256("+".join(digests).encode()).hexdigest()


def _group(labels: Sequence[object], source: str) -> tuple[dict[str, int], np.ndarray]:
    """Return {class name: number of rows}, sorted, and the order [rows] that sorts rows by class."""
    names = [class_name(label, source) for label in labels]
    counts = Counter(names)
    sorted_names = sorted(counts, key=_by_number_then_name)
    codes = {name: code for code, name in enumerate(sorted_names)}
    order = np.argsort(np.fromiter((codes[name] for name in names), np.int64, len(names)), kind="stable")
    return {name: counts[name] for name in sorted_names}, order


def _by_number_then_name(name: str) -> tuple[float, str]:
    is_number = name.isascii() and name.isdigit() and len(name) < 16
    return (int(name) if is_number else float("inf"), name)


def _to_float32(rows: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # check_embeddings reports what became infinite
        return rows.astype("<f4", copy=False)
