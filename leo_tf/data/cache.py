"""Converted embeddings kept on disk, so that the second start memory-maps them instead of reading a pickle.

An entry is a .json that names the sources it was made from, and an .npy of float32 rows sorted by class. Both are
written atomically, the .json last: it alone makes the entry valid.
"""

import hashlib
import json
import logging
import os
import time
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from leo_tf.data.conversion import ROWS_AT_ONCE, GroupedEmbeddings, Split, convert, convert_in_memory
from leo_tf.data.readers import read_split, split_files
from leo_tf.files import npz, replace_file

_logger = logging.getLogger("leo_tf")

_FORMAT = 2  # goes up when entries written before must not be used any more


def cache_folder(cache_dir: str | Path | None = None) -> Path:
    """Return the folder for what can be made again: `cache_dir` or, by default, leo_tf's in the user's cache folder."""
    if cache_dir:
        return Path(cache_dir).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "leo_tf"


def load_grouped(paths: Sequence[Path], normalize: bool, cache_dir: str | Path | None = None) -> GroupedEmbeddings:
    """Return the rows of splits laid one after another, converted at the first call and memory-mapped afterwards.

    Where no cache can be written (a read-only folder, a full disk) the rows are held in memory, with a warning.

    Args:
      paths: files for `readers.read_split`.
      normalize: as in `conversion.convert`.
      cache_dir: as in `cache_folder`.

    Raises:
      InputError: if a source is bad.
    """
    sources = [_identity(file) for path in paths for file in split_files(path)]
    key = hashlib.sha256(json.dumps([[source[0] for source in sources], bool(normalize)]).encode()).hexdigest()
    entry = cache_folder(cache_dir) / f"{paths[0].stem}-{key[:16]}.json"
    known = _open_entry(entry, sources)
    if known is not None:
        return known
    _logger.info("Converting %s, once.", " and ".join(map(str, paths)))
    splits = [read_split(path) for path in paths]
    try:
        return _write_entry(entry, sources, splits, normalize)
    except OSError as error:
        _logger.warning(
            "Cannot keep the converted embeddings in %s (%s); they are held in memory, and the next start converts "
            "them again. Make room there or choose another folder.",
            entry.parent,
            error.strerror or error,
        )
        return convert_in_memory(splits, normalize)


def _identity(file: Path) -> list:
    """Return [path, size, time of change], by which a source is recognised."""
    try:
        status = file.stat()
    except OSError:
        return [str(file), None, None]  # the reader says what is wrong with it
    return [str(file.resolve()), status.st_size, status.st_mtime_ns]


def _open_entry(entry: Path, sources: list[list]) -> GroupedEmbeddings | None:
    """Return the rows of an entry, or None if it is missing, damaged or made from other sources."""
    try:
        record = json.loads(entry.read_bytes())
        if record["format"] != _FORMAT or record["sources"] != sources:
            return None
        rows = npz.mapped(entry.with_name(record["file"]), "c")
        names, sizes = tuple(record["class_names"]), tuple(record["class_sizes"])
        if rows.dtype != np.float32 or rows.shape != (sum(sizes), record["dim"]) or len(names) != len(sizes):
            return None
        if checksum(rows) != record["checksum"]:
            _logger.warning("%s is damaged; it is made again.", entry.with_name(record["file"]))
            return None
        return GroupedEmbeddings(np.asarray(rows), names, sizes, record["digest"])
    except Exception:  # whatever is wrong with an entry, it can be made again
        return None


def checksum(rows: np.ndarray) -> int:
    """Return the CRC-32 of rows: against damage, not malice, and fast enough for every start (1 GB in a second)."""
    found = 0
    for start in range(0, len(rows), ROWS_AT_ONCE):
        found = zlib.crc32(rows[start : start + ROWS_AT_ONCE].data, found)
    return found


def _is_abandoned(temporary: Path) -> bool:
    """Return whether the process that wrote a temporary file was killed; one at work writes all the time."""
    return time.time() - temporary.stat().st_mtime > 3600


def _write_entry(entry: Path, sources: list[list], splits: Sequence[Split], normalize: bool) -> GroupedEmbeddings:
    shape = (sum(len(split.embeddings) for split in splits), splits[0].embeddings.shape[1])
    # The name tells the sources, so that no entry ever points at rows that were made from others.
    version = hashlib.sha256(json.dumps(sources).encode()).hexdigest()[:16]
    rows_file = entry.with_name(f"{entry.stem}.{version}.npy")
    with replace_file(rows_file) as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        written = 0

        def emit(chunk: np.ndarray) -> None:
            nonlocal written
            written = zlib.crc32(chunk.data, written)
            file.write(chunk.data)

        rows = convert(splits, normalize, emit)
    with replace_file(entry) as file:
        record = {
            "format": _FORMAT,
            "sources": sources,
            "file": rows_file.name,
            "dim": shape[1],
            "class_names": rows.class_names,
            "class_sizes": rows.class_sizes,
            "digest": rows.digest,
            "checksum": written,
        }
        file.write(json.dumps(record).encode())
    for other in entry.parent.glob(f"{entry.stem}.*"):
        with suppress(OSError):
            if other not in (entry, rows_file) and (other.suffix == ".npy" or _is_abandoned(other)):
                other.unlink()
    return rows._replace(embeddings=np.asarray(np.load(rows_file, mmap_mode="c", allow_pickle=False)))
