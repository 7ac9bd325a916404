"""Images decoded and cut to squares by tf.data, in the order of their numbers."""

import hashlib
import json
import logging
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from leo_tf.data.cache import cache_folder, checksum
from leo_tf.errors import InputError
from leo_tf.evaluation.progress import Progress
from leo_tf.features.images.preprocessing import Preprocessing, decode
from leo_tf.features.images.source import Source
from leo_tf.features.images.validation import Inspected, readable_numbers
from leo_tf.files import npz, pixels, replace_file, write_json, writing

_FORMAT = 2  # raised when existing entries of the cache become invalid
_AHEAD = 2  # batches: a slow network does not make memory grow
_logger = logging.getLogger("leo_tf")


class Loader:
    """Make squares of images: `Preprocessing.square` of files' bytes and of arrays alike."""

    def __init__(self, preprocessing: Preprocessing) -> None:
        self.preprocessing = preprocessing
        self._of_bytes = tf.function(
            lambda content: preprocessing.square(decode(content)),
            input_signature=[tf.TensorSpec([], tf.string)],
            autograph=False,
        )
        self._of_pixels = tf.function(
            preprocessing.square, input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)], autograph=False
        )

    def square(self, content: Any) -> np.ndarray:
        """Return uint8 [resize_size, resize_size, channels] of encoded bytes, an array or a PIL.Image.

        UnreadableError says why it is impossible.
        """
        if isinstance(content, np.ndarray):
            return self._of_pixels(pixels.from_array(content)).numpy()
        image = pixels.open_image(content) if isinstance(content, bytes) else content
        if image is content or not pixels.is_plain(content, image):
            return self._of_pixels(pixels.upright_rgb(image)).numpy()
        try:
            return self._of_bytes(content).numpy()
        except tf.errors.InvalidArgumentError as error:  # corrupt behind a good header
            reason = str(error).splitlines()[0].partition("[Op:")[0].split("}} ")[-1]
            raise pixels.UnreadableError(f"it is corrupt ({reason.strip()[:120]})") from None

    def batches(self, source: Source, batch_size: int) -> tf.data.Dataset:
        """Return the batches of (squares, reasons) of a split.

        squares are uint8 [batch, resize_size, resize_size, channels]; reasons are strings [batch]: why an image is
        unreadable, whose square is then all zeros; empty for the others.
        """
        side, channels = self.preprocessing.resize_size, self.preprocessing.channels

        def load(number: np.ndarray) -> tuple[np.ndarray, bytes]:
            try:
                return self.square(source.read(int(number))), b""
            except (pixels.UnreadableError, OSError) as error:
                return np.zeros([side, side, channels], np.uint8), str(error).encode() or b"unreadable"

        def mapped(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            square, reason = tf.numpy_function(load, [number], [tf.uint8, tf.string])
            return tf.ensure_shape(square, [side, side, channels]), tf.ensure_shape(reason, [])

        numbers = tf.data.Dataset.range(len(source))
        return numbers.map(mapped, num_parallel_calls=tf.data.AUTOTUNE).batch(batch_size).prefetch(_AHEAD)

    def load_cached(
        self, inspected: Inspected, split: str, max_unreadable: float, cache_dir: str | Path | None = None
    ) -> tuple[Inspected, np.ndarray]:
        """Return the readable images of a split, and their memory-mapped squares, kept in the cache folder."""
        key = json.dumps([_FORMAT, inspected.digest, self.preprocessing.to_json()])
        entry = cache_folder(cache_dir) / f"images-{hashlib.sha256(key.encode()).hexdigest()[:24]}.npy"
        side, channels = self.preprocessing.resize_size, self.preprocessing.channels
        shape = (len(inspected.source), side, side, channels)
        known = _read_entry(entry, shape)
        if known is None:
            self._write_entry(inspected.source, split, entry, shape)
            known = _read_entry(entry, shape)
        if known is None:
            raise InputError(
                f"{entry} differs from what was just written; check the disk, or give another cache_dir.", "cache_dir"
            )
        squares, reasons = known
        if not reasons:
            return inspected, squares
        readable = readable_numbers(inspected.source, reasons, split, max_unreadable)
        return inspected.subset(readable), squares[readable]

    def _write_entry(self, source: Source, split: str, entry: Path, shape: tuple[int, ...]) -> None:
        reasons: dict[int, str] = {}
        crc = done = 0
        with writing(entry, "give a cache_dir that can be written"), replace_file(entry) as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
            with Progress(f"decoding {split}", len(source), "images") as progress:
                for squares, why in self.batches(source, 64).as_numpy_iterator():
                    file.write(squares.data)
                    crc = zlib.crc32(squares.data, crc)
                    reasons |= {done + i: text.decode() for i, text in enumerate(why) if text}
                    done += len(why)
                    progress.add(len(why))
        write_json(entry.with_suffix(".json"), {"checksum": crc, "reasons": reasons})


def _read_entry(entry: Path, shape: tuple[int, ...]) -> tuple[np.ndarray, dict[int, str]] | None:
    """Return (squares, {number: why it is unreadable}) of an entry; None if it is missing or corrupt."""
    try:
        note = json.loads(entry.with_suffix(".json").read_bytes())
        squares = npz.memory_map(entry)
        reasons = {int(number): str(reason) for number, reason in note["reasons"].items()}
        fits = squares.dtype == np.uint8 and squares.shape == shape and all(0 <= n < shape[0] for n in reasons)
        if fits and checksum(squares) == note["checksum"]:
            return squares, reasons
    except FileNotFoundError:
        return None
    except Exception:  # whatever is wrong with an entry, it can be made again
        _logger.debug("Unreadable entry of the cache.", exc_info=True)
    _logger.warning("%s is corrupt; it is made again.", entry)
    return None
