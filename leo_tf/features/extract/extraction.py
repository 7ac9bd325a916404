"""Embed one split, in parts: stopped, it goes on where it was."""

import json
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from leo_tf.errors import InputError
from leo_tf.evaluation.progress import Progress
from leo_tf.features.images.checks import keep, refuse_empty, report_unreadable
from leo_tf.features.images.layouts import Source
from leo_tf.files import write_json, writing

CHUNK = 32
_BETWEEN_NOTES = 5.0  # seconds


class Embedded(NamedTuple):
    """What came of a split."""

    embeddings: np.ndarray  # float32 [images, dim], memory-mapped
    source: Source  # of the images that could be read
    skipped: dict[str, str]  # why, by name, of those that could not
    images_per_second: float  # of this call; NaN if nothing was left to do


class Extraction:
    """Embed splits with an Extractor into a folder of parts.

    Args:
      extractor: Extractor.
      folder: where the parts are kept until the end.
      batch_size: images that are read and decoded at once; the network has CHUNK at once, whatever it is.
      max_unreadable: share of images that may turn out to be damaged.
    """

    def __init__(self, extractor, folder, batch_size=64, max_unreadable=0.01):
        self._extractor, self._folder, self._batch_size = extractor, Path(folder), batch_size
        self._max_unreadable = max_unreadable

    def run(self, inspected, split):
        """Embed a split, an Inspected; return Embedded.

        Raises:
          InputError: too many images are damaged, or a class has no others; or the folder cannot be written.
        """
        extractor, source = self._extractor, inspected.source
        rows_file, note_file = self._folder / f"{split}.f32", self._folder / f"{split}.json"
        key = [inspected.digest, extractor.about, extractor.preprocessing.to_json(), extractor.views]
        with writing(self._folder, "give an output that can be written"):
            self._folder.mkdir(parents=True, exist_ok=True)
            done, skipped = self._resumed(rows_file, note_file, key)
            start, first, noted = time.monotonic(), done, time.monotonic()
            with open(rows_file, "r+b" if rows_file.exists() else "w+b") as file:
                file.truncate(done * extractor.dim * 4)
                file.seek(0, 2)
                with Progress(f"embedding {split}", len(source), "images") as progress:
                    progress.add(done)
                    batches = extractor.loader.batches(source, self._batch_size, done)
                    for squares, why in _in_chunks(batches.as_numpy_iterator()):
                        # Always as many at once, and always the same ones: the last bits depend on both.
                        missing = [(0, CHUNK - len(squares))] + [(0, 0)] * 3
                        rows = extractor(np.pad(squares, missing))[: len(squares)]
                        reasons = {str(done + i): text.decode() for i, text in enumerate(why) if text}
                        self._require_finite(rows, why, source, done)
                        skipped |= reasons
                        file.write(rows.astype("<f4").data)
                        done += len(rows)
                        progress.add(len(rows))
                        if time.monotonic() - noted > _BETWEEN_NOTES:
                            file.flush()
                            write_json(note_file, {"key": key, "done": done, "skipped": skipped})
                            noted = time.monotonic()
            write_json(note_file, {"key": key, "done": done, "skipped": skipped})
        speed = (done - first) / (time.monotonic() - start) if done > first else float("nan")
        return self._embedded(rows_file, source, split, skipped, speed)

    def _resumed(self, rows_file, note_file, key):
        """Return (images done, skipped) of a stopped extraction of the same images; (0, {}) where there is none."""
        try:
            note = json.loads(note_file.read_text(encoding="utf-8"))
            size = rows_file.stat().st_size
            if note["key"] == json.loads(json.dumps(key)) and size >= note["done"] * self._extractor.dim * 4:
                return note["done"], note["skipped"]
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return 0, {}

    def _require_finite(self, rows, why, source, first):
        bad = [i for i in range(len(rows)) if not why[i] and not np.isfinite(rows[i]).all()]
        if bad:
            raise InputError(
                f"{self._extractor.about['name']} gives NaN or infinity for {source.names[first + bad[0]]}; expected "
                "finite embeddings. Check its weights and, of a file, pixels and image_size."
            )

    def _embedded(self, rows_file, source, split, skipped, speed):
        dim = self._extractor.dim
        embeddings = np.memmap(rows_file, "<f4", "r", shape=(len(source), dim))
        if not skipped:
            return Embedded(embeddings, source, {}, speed)
        by_name = {source.names[int(number)]: reason for number, reason in skipped.items()}
        report_unreadable(split, len(source), by_name, self._max_unreadable)
        usable = [i for i in range(len(source)) if str(i) not in skipped]
        refuse_empty(source, usable, split)
        return Embedded(embeddings[usable], keep(source, usable), by_name, speed)


def _in_chunks(batches):
    """Yield pairs of arrays, that come in batches of any size, in chunks of CHUNK; the last one may be smaller."""
    kept: tuple = ()
    for batch in batches:
        kept = tuple(map(np.concatenate, zip(kept, batch, strict=True))) if kept else batch
        while len(kept[0]) >= CHUNK:
            yield tuple(part[:CHUNK] for part in kept)
            kept = tuple(part[CHUNK:] for part in kept)
    if kept and len(kept[0]):
        yield kept
