"""The embeddings of one split, in parts with which a stopped extraction resumes; many workers share every part."""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from leo_tf.errors import InputError
from leo_tf.evaluation.progress import Progress
from leo_tf.evaluation.single_process import SINGLE_PROCESS, SingleProcess
from leo_tf.features.extractor import Extractor
from leo_tf.features.images import Source
from leo_tf.features.images.validation import Inspected, readable_numbers
from leo_tf.files import write_json, writing

CHUNK = 32  # images that the network embeds at once
_NOTE_INTERVAL = 5.0  # seconds
_CHUNKS_PER_WORKER = 4  # between two exchanges of embeddings


class Embedded(NamedTuple):
    """The embeddings of a split."""

    embeddings: np.ndarray  # float32 [images, dim], memory-mapped
    source: Source  # of the readable images
    skipped: dict[str, str]  # {name: why an image is unreadable}
    images_per_second: float  # of this call; NaN if nothing was left to do


@dataclass(frozen=True)
class Extraction:
    """The embedding of splits by an Extractor; all workers call `run`."""

    extractor: Extractor
    folder: str | Path  # where the chief keeps finished parts until the end
    batch_size: int = 64  # images that are read and decoded at once; the network always has CHUNK
    max_unreadable: float = 0.01
    workers: SingleProcess = SINGLE_PROCESS

    def run(self, inspected: Inspected, split: str) -> Embedded | None:
        """Embed a split; return Embedded on the chief, None on other workers."""
        extractor, source = self.extractor, inspected.source
        key = [inspected.digest, extractor.description()]
        start, is_chief = time.monotonic(), self.workers.is_chief
        parts = _Parts(self.folder, split, key, extractor.dim) if is_chief else None
        first = self.workers.broadcast(parts.done if parts else 0)
        with parts or contextlib.nullcontext(), Progress(f"embedding {split}", len(source), "images") as progress:
            progress.add(first)
            for rows, skipped in self._pieces(source, first):
                if parts:
                    parts.add(rows, skipped)
                progress.add(len(rows))
        if not parts:
            return None
        speed = (parts.done - first) / (time.monotonic() - start) if parts.done > first else float("nan")
        readable = readable_numbers(source, parts.skipped, split, self.max_unreadable)
        embeddings = parts.embeddings()[readable] if parts.skipped else parts.embeddings()
        reasons = {source.names[number]: reason for number, reason in parts.skipped.items()}
        return Embedded(embeddings, source.subset(readable), reasons, speed)

    def _pieces(self, source: Source, first: int) -> Iterator[tuple[np.ndarray, dict[int, str]]]:
        """Yield (embeddings float32 [n, dim], {number: why it is unreadable}) of images from number `first` on."""
        # The network always embeds the same images together, in chunks of one size: the last bits depend on both.
        workers, starts = self.workers, range(first, len(source), CHUNK)
        per_piece = 1 if workers.count == 1 else workers.count * _CHUNKS_PER_WORKER
        pieces = [starts[i : i + per_piece] for i in range(0, len(starts), per_piece)]
        mine = [piece[i] for piece in pieces for i in workers.shard(len(piece))]
        numbers = [number for start in mine for number in range(start, min(start + CHUNK, len(source)))]
        batches = self.extractor.loader.batches(source.subset(numbers), self.batch_size)
        chunks = batches.rebatch(CHUNK).as_numpy_iterator()
        for piece in pieces:
            rows = np.zeros([min(piece[-1] + CHUNK, len(source)) - piece[0], self.extractor.dim], np.float32)
            skipped: dict[str, str] = {}  # its keys as JSON has them
            for start in (piece[i] for i in workers.shard(len(piece))):
                squares, reasons = next(chunks)
                padded = np.pad(squares, [(0, CHUNK - len(squares))] + [(0, 0)] * 3)
                embeddings = self.extractor(padded)[: len(squares)]
                self._require_finite(embeddings, reasons, source.names[start : start + CHUNK])
                rows[start - piece[0] :][: len(embeddings)] = embeddings
                skipped |= {str(start + i): text.decode() for i, text in enumerate(reasons) if text}
            (rows,) = workers.all_reduce([rows])
            yield rows, {int(number): text for each in workers.all_gather(skipped) for number, text in each.items()}

    def _require_finite(self, rows: np.ndarray, reasons: np.ndarray, names: Sequence[str]) -> None:
        bad = [i for i in range(len(rows)) if not reasons[i] and not np.isfinite(rows[i]).all()]
        if bad:
            raise InputError(
                f"{self.extractor.about['name']} gives NaN or infinity for {names[bad[0]]}; expected finite "
                "embeddings. Check its weights and, of a file, pixels and image_size.",
                *("pixels", "image_size"),
            )


class _Parts:
    """A file of embeddings and a note of their number, ignored if made with another key; a context to add more in."""

    def __init__(self, folder: str | Path, split: str, key: Any, dim: int) -> None:
        self._folder, self._key, self._dim = Path(folder), json.loads(json.dumps(key)), dim
        self._rows_file, self._note_file = self._folder / f"{split}.f32", self._folder / f"{split}.json"
        self.done, self.skipped = self._resumed()

    def __enter__(self) -> "_Parts":
        with self._writing():
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = open(self._rows_file, "r+b" if self._rows_file.exists() else "w+b")
            self._file.truncate(self.done * self._dim * 4)
            self._file.seek(0, 2)
        self._noted = time.monotonic()
        return self

    def __exit__(self, kind: type | None, *_: Any) -> None:
        with self._writing():
            if kind is None:
                self._write_note()
            self._file.close()

    def add(self, rows: np.ndarray, skipped: Mapping[int, str]) -> None:
        """Add embeddings float32 [n, dim], and why images are unreadable, {number: reason}."""
        self.skipped |= skipped
        with self._writing():
            self._file.write(rows.astype("<f4").data)
            self.done += len(rows)
            if time.monotonic() - self._noted > _NOTE_INTERVAL:
                self._write_note()
                self._noted = time.monotonic()

    def embeddings(self) -> np.ndarray:
        """Return all of them, float32 [images, dim], memory-mapped."""
        return np.memmap(self._rows_file, "<f4", "r", shape=(self.done, self._dim))

    def _write_note(self) -> None:
        self._file.flush()
        write_json(self._note_file, {"key": self._key, "done": self.done, "skipped": self.skipped})

    def _resumed(self) -> tuple[int, dict[int, str]]:
        """Return (finished images, reasons of the skipped ones) of a stopped extraction with the same key."""
        try:
            note = json.loads(self._note_file.read_text(encoding="utf-8"))
            size = self._rows_file.stat().st_size
            if note["key"] == self._key and size >= note["done"] * self._dim * 4:
                return note["done"], {int(number): reason for number, reason in note["skipped"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass
        return 0, {}

    def _writing(self) -> contextlib.AbstractContextManager[None]:
        return writing(self._folder, "give an output that can be written")
