"""Cache of converted embeddings on disk: only the first start reads a pickle, later ones memory-map the rows.

An entry is a .json file that names its sources, and an .npy file of float32 rows sorted by class. Both are written
atomically, the .json file last, because it alone makes the entry valid.
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
from leo_tf.files import identity, npz, replace_file

_logger = logging.getLogger("leo_tf")

_FORMAT = 2  # raised to invalidate older entries


def cache_folder(cache_dir: str | Path | None = None) -> Path:
    """Return `cache_dir` or, by default, the folder leo_tf in the user's cache folder."""
    if cache_dir:
        return Path(cache_dir).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "leo_tf"


def load_grouped(paths: Sequence[Path], normalize: bool, cache_dir: str | Path | None = None) -> GroupedEmbeddings:
    """Return the concatenated rows of splits, converted in the first call and memory-mapped afterwards.

    If the cache cannot be written (a read-only folder, a full disk), the rows are kept in memory, with a warning.
    """
    sources = [identity(file) for path in paths for file in split_files(path)]
    key = hashlib.sha256(json.dumps([[source[0] for source in sources], bool(normalize)]).encode()).hexdigest()
    entry = cache_folder(cache_dir) / f"{paths[0].stem}-{key[:16]}.json"
    cached = _open_entry(entry, sources)
    if cached is not None:
        return cached
    _logger.info("Converting %s, once.", " and ".join(map(str, paths)))
    splits = [read_split(path) for path in paths]
    try:
        return _write_entry(entry, sources, splits, normalize)
    except OSError as error:
        _logger.warning(
            "Cannot cache the converted embeddings in %s (%s); they are kept in memory, and the next start converts "
            "them again. Free some disk space or choose another folder.",
            entry.parent,
            error.strerror or error,
        )
        return convert_in_memory(splits, normalize)


def _open_entry(entry: Path, sources: list[list]) -> GroupedEmbeddings | None:
    """Return the rows of an entry, or None if it is missing, corrupt or has other sources."""
    try:
        record = json.loads(entry.read_bytes())
        if record["format"] != _FORMAT or record["sources"] != sources:
            return None
        rows = npz.memory_map(entry.with_name(record["file"]), "c")
        names, sizes = tuple(record["class_names"]), tuple(record["class_sizes"])
        if rows.dtype != np.float32 or rows.shape != (sum(sizes), record["dim"]) or len(names) != len(sizes):
            return None
        if checksum(rows) != record["checksum"]:
            _logger.warning("%s is corrupt; it is created again.", entry.with_name(record["file"]))
            return None
        return GroupedEmbeddings(np.asarray(rows), names, sizes, record["digest"])
    except Exception:  # whatever is wrong with an entry, it can be created again
        return None


def checksum(rows: np.ndarray) -> int:
    """Return the CRC-32 of rows: it detects accidents, not malice, and is fast enough for every start (1 GB/s)."""
    found = 0
    for start in range(0, len(rows), ROWS_AT_ONCE):
        found = zlib.crc32(rows[start : start + ROWS_AT_ONCE].data, found)
    return found


def _write_entry(entry: Path, sources: list[list], splits: Sequence[Split], normalize: bool) -> GroupedEmbeddings:
    shape = (sum(len(split.embeddings) for split in splits), splits[0].embeddings.shape[1])
    # The sources are part of the name, so that no entry ever points at rows made from others.
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
    record = {"format": _FORMAT, "sources": sources, "file": rows_file.name, "dim": shape[1], "checksum": written}
    content = {"class_names": rows.class_names, "class_sizes": rows.class_sizes, "digest": rows.digest}
    with replace_file(entry) as file:
        file.write(json.dumps(record | content).encode())
    for other in entry.parent.glob(f"{entry.stem}.*"):
        with suppress(OSError):
            is_abandoned = time.time() - other.stat().st_mtime > 3600  # a live process writes all the time
            if other not in (entry, rows_file) and (other.suffix == ".npy" or is_abandoned):
                other.unlink()
    return rows._replace(embeddings=np.asarray(np.load(rows_file, mmap_mode="c", allow_pickle=False)))
