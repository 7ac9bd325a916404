"""Embed one split, in parts: stopped, it goes on where it was. Many workers have a share of every part."""

import contextlib
import time
from typing import NamedTuple

import numpy as np

from leo_tf.errors import InputError
from leo_tf.evaluation.progress import Progress
from leo_tf.evaluation.single_process import SINGLE_PROCESS
from leo_tf.features.extract.parts import Parts
from leo_tf.features.images.layouts import Source
from leo_tf.features.images.validation import keep, refuse_empty, report_unreadable

CHUNK = 32
_CHUNKS_OF_A_WORKER = 4  # between two times that workers hear of each other


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
      folder: where the parts are kept until the end; of many workers the chief's.
      batch_size: images that are read and decoded at once; the network has CHUNK at once, whatever it is.
      max_unreadable: share of images that may turn out to be damaged.
      workers: Collectives that the images are divided among; all of its workers call `run`.
    """

    def __init__(self, extractor, folder, batch_size=64, max_unreadable=0.01, workers=SINGLE_PROCESS):
        self._extractor, self._folder, self._batch_size = extractor, folder, batch_size
        self._max_unreadable, self._workers = max_unreadable, workers

    def run(self, inspected, split):
        """Embed a split, an Inspected; return Embedded, None on all workers but the chief.

        Raises:
          InputError: too many images are damaged, or a class has no others; or the folder cannot be written.
        """
        extractor, source = self._extractor, inspected.source
        key = [inspected.digest, extractor.about, extractor.preprocessing.to_json(), extractor.views]
        start, is_chief = time.monotonic(), self._workers.is_chief
        parts = Parts(self._folder, split, key, extractor.dim) if is_chief else None
        first = self._workers.gather(parts.done if parts else 0)[0]
        with parts or contextlib.nullcontext(), Progress(f"embedding {split}", len(source), "images") as progress:
            progress.add(first)
            for rows, skipped in self._pieces(source, first):
                if parts:
                    parts.add(rows, skipped)
                progress.add(len(rows))
        if not parts:
            return None
        speed = (parts.done - first) / (time.monotonic() - start) if parts.done > first else float("nan")
        return self._embedded(parts, source, split, speed)

    def _pieces(self, source, first):
        """Yield (embeddings float32 [n, dim], {number: why it cannot be read}) of images from number `first` on.

        The network has always as many at once, and always the same ones: the last bits depend on both.
        """
        workers, starts = self._workers, range(first, len(source), CHUNK)
        at_once = 1 if workers.count == 1 else workers.count * _CHUNKS_OF_A_WORKER
        pieces = [starts[i : i + at_once] for i in range(0, len(starts), at_once)]
        mine = [piece[i] for piece in pieces for i in workers.shard(len(piece))]
        numbers = [number for start in mine for number in range(start, min(start + CHUNK, len(source)))]
        batches = self._extractor.loader.batches(keep(source, numbers), self._batch_size)
        chunks = _in_chunks(batches.as_numpy_iterator())
        for piece in pieces:
            rows = np.zeros([min(piece[-1] + CHUNK, len(source)) - piece[0], self._extractor.dim], np.float32)
            skipped: dict[str, str] = {}
            for start in (piece[i] for i in workers.shard(len(piece))):
                squares, why = next(chunks)
                found = self._extractor(np.pad(squares, [(0, CHUNK - len(squares))] + [(0, 0)] * 3))[: len(squares)]
                self._require_finite(found, why, source, start)
                rows[start - piece[0] :][: len(found)] = found
                skipped |= {str(start + i): text.decode() for i, text in enumerate(why) if text}
            (rows,) = workers.all_reduce([rows])
            yield rows, {number: text for each in workers.all_gather(skipped) for number, text in each.items()}

    def _require_finite(self, rows, why, source, first):
        bad = [i for i in range(len(rows)) if not why[i] and not np.isfinite(rows[i]).all()]
        if bad:
            raise InputError(
                f"{self._extractor.about['name']} gives NaN or infinity for {source.names[first + bad[0]]}; expected "
                "finite embeddings. Check its weights and, of a file, pixels and image_size."
            )

    def _embedded(self, parts, source, split, speed):
        embeddings, skipped = parts.embeddings(), parts.skipped
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
