"""Images decoded and cut to squares by tf.data, in the order of their numbers."""

import hashlib
import json
import logging
import zlib

import numpy as np
import tensorflow as tf

from leo_tf.data.cache import cache_folder, checksum
from leo_tf.errors import InputError
from leo_tf.evaluation.progress import Progress
from leo_tf.features.images import pixels
from leo_tf.features.images.preprocessing import decode
from leo_tf.features.images.validation import Inspected, keep, refuse_empty, report_unreadable
from leo_tf.files import npz, replace_file, write_json, writing

_FORMAT = 2  # goes up when entries written before must not be used any more
_AHEAD = 2  # batches: memory does not grow, however slow the network is
_logger = logging.getLogger("leo_tf")


class Loader:
    """Make squares of images: `Preprocessing.square` of files' bytes and of arrays alike.

    Args:
      preprocessing: Preprocessing.
    """

    def __init__(self, preprocessing):
        self.preprocessing = preprocessing
        self._decoded = tf.function(
            lambda content: preprocessing.square(decode(content)),
            input_signature=[tf.TensorSpec([], tf.string)],
            autograph=False,
        )
        self._given = tf.function(
            preprocessing.square, input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)], autograph=False
        )

    def square(self, content):
        """Return uint8 [resize_size, resize_size, channels] of an image.

        Args:
          content: encoded bytes, an array as for `pixels.from_array`, or a PIL.Image.

        Raises:
          UnreadableError: it is no image, too large or damaged.
        """
        if isinstance(content, np.ndarray):
            return self._given(pixels.from_array(content)).numpy()
        if not isinstance(content, bytes):
            return self._given(pixels.upright_rgb(content)).numpy()
        image = pixels.open_image(content)
        if not pixels.is_plain(content, image):
            return self._given(pixels.upright_rgb(image)).numpy()
        try:
            return self._decoded(content).numpy()
        except tf.errors.InvalidArgumentError as error:  # cut off or damaged behind its header
            reason = str(error).splitlines()[0].partition("[Op:")[0].split("}} ")[-1]
            raise pixels.UnreadableError(f"it is damaged ({reason.strip()[:120]})") from None

    def batches(self, source, batch_size, first=0):
        """Return a tf.data.Dataset of (squares, reasons) from image number `first` on.

        Args:
          source: Source.
          batch_size: images in a batch; the last one may be smaller.
          first: int.

        Returns:
          Dataset of squares uint8 [batch, resize_size, resize_size, channels], and reasons, strings [batch]: why an
          image, then all zeros, cannot be read; empty for the others.
        """
        side, channels = self.preprocessing.resize_size, self.preprocessing.channels

        def load(number):
            try:
                return self.square(source.read(int(number))), b""
            except (pixels.UnreadableError, OSError) as error:
                return np.zeros([side, side, channels], np.uint8), str(error).encode() or b"unreadable"

        def mapped(number):
            square, reason = tf.numpy_function(load, [number], [tf.uint8, tf.string])
            return tf.ensure_shape(square, [side, side, channels]), tf.ensure_shape(reason, [])

        numbers = tf.data.Dataset.range(first, len(source))
        return numbers.map(mapped, num_parallel_calls=tf.data.AUTOTUNE).batch(batch_size).prefetch(_AHEAD)

    def store(self, inspected, what, max_unreadable, cache_dir=None):
        """Return all squares of a split in one array, made once and kept in the cache folder.

        Args:
          inspected: Inspected.
          what: name of the split, for messages.
          max_unreadable: as for `checks.inspect`.
          cache_dir: as for `data.cache.cache_folder`.

        Returns:
          (Inspected of the readable ones, uint8 [images, resize_size, resize_size, channels], memory-mapped).

        Raises:
          InputError: as `checks.inspect`, or the cache cannot be written.
        """
        key = json.dumps([_FORMAT, inspected.digest, self.preprocessing.to_json()])
        entry = cache_folder(cache_dir) / f"images-{hashlib.sha256(key.encode()).hexdigest()[:24]}.npy"
        side, channels = self.preprocessing.resize_size, self.preprocessing.channels
        shape = (len(inspected.source), side, side, channels)
        known = _open_entry(entry, shape)
        if known is None:
            self._write(inspected.source, what, entry, shape)
            known = _open_entry(entry, shape)
        if known is None:
            raise InputError(f"{entry} is not as it was just written; check the disk, or give another cache_dir.")
        squares, reasons = known
        if not reasons:
            return inspected, squares
        source = inspected.source
        by_name = {source.names[number]: reason for number, reason in reasons.items()}
        report_unreadable(what, len(source), by_name, max_unreadable)
        usable = [i for i in range(len(source)) if i not in reasons]
        refuse_empty(source, usable, what)
        return Inspected(keep(source, usable), [inspected.digests[i] for i in usable]), squares[usable]

    def _write(self, source, what, entry, shape):
        reasons: dict[int, str] = {}
        written = 0
        with writing(entry, "give a cache_dir that can be written"), replace_file(entry) as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
            done = 0
            with Progress(f"decoding {what}", len(source), "images") as progress:
                for squares, why in self.batches(source, 64):
                    content = squares.numpy().data
                    file.write(content)
                    written = zlib.crc32(content, written)
                    reasons |= {done + i: text.decode() for i, text in enumerate(why.numpy()) if text}
                    done += len(why)
                    progress.add(len(why))
        write_json(entry.with_suffix(".json"), {"checksum": written, "reasons": reasons})


def _open_entry(entry, shape):
    """Return (squares, {number: why it is unreadable}) of an entry; None if it is missing or damaged."""
    try:
        note = json.loads(entry.with_suffix(".json").read_bytes())
        squares = npz.mapped(entry)
        reasons = {int(number): str(reason) for number, reason in note["reasons"].items()}
        fits = squares.dtype == np.uint8 and squares.shape == shape and all(0 <= n < shape[0] for n in reasons)
        if fits and checksum(squares) == note["checksum"]:
            return squares, reasons
    except FileNotFoundError:
        return None
    except Exception:  # whatever is wrong with an entry, it can be made again
        _logger.debug("Unreadable entry of the cache.", exc_info=True)
    _logger.warning("%s is damaged; it is made again.", entry)
    return None
