"""What is wrong with images, found before the work: damage, and the same picture in two splits."""

import hashlib
import logging
import math
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from leo_tf.errors import InputError
from leo_tf.evaluation.progress import Progress
from leo_tf.features.images.layouts import Source
from leo_tf.features.images.pixels import UnreadableError, open_image

_LISTED = 10
_THREADS = 4
_logger = logging.getLogger("leo_tf")


class Inspected(NamedTuple):
    """The usable images of a split."""

    source: Source
    digests: list[bytes]  # SHA-256 of each one's content

    @property
    def digest(self):
        """SHA-256 in hex of all contents and their classes, in their order."""
        joined = hashlib.sha256()
        for content, label in zip(self.digests, self.source.labels, strict=True):
            joined.update(content + label.encode() + b"\0")
        return joined.hexdigest()


def inspect(splits, max_unreadable=0.01):
    """Read every image's bytes and header once.

    Args:
      splits: {split: Source}.
      max_unreadable: share of a split's images that may be unreadable, and are skipped; one always may.

    Returns:
      {split: Inspected} without the unreadable ones.

    Raises:
      InputError: too many unreadable images, a class without readable ones, or the same content in two splits or in
        two classes.
    """
    found = {split: _inspect(split, source, max_unreadable) for split, source in splits.items()}
    _refuse_copies(found)
    return found


def report_unreadable(what, total, reasons, max_unreadable):
    """Log images that are skipped; raise InputError if they are more than the share allowed.

    Args:
      what: they are of, for messages.
      total: how many images there are.
      reasons: {name: why}.
    """
    if not reasons:
        return
    listed = "; ".join(f"{name}: {reason}" for name, reason in list(reasons.items())[:_LISTED])
    more = f"; and {len(reasons) - _LISTED} more" if len(reasons) > _LISTED else ""
    if len(reasons) > max(1, math.floor(max_unreadable * total)):
        raise InputError(
            f"{len(reasons)} of {total} images of {what} cannot be read, more than max_unreadable={max_unreadable:g} "
            f"allows: {listed}{more}. Repair or remove them, or allow more."
        )
    _logger.warning(
        "%d of %d images of %s cannot be read and are skipped: %s%s.", len(reasons), total, what, listed, more
    )


def keep(source, usable):
    """Return a Source of the images at the sorted numbers `usable`."""
    numbers = np.asarray(usable)
    read = source.read
    return Source(
        [source.names[i] for i in numbers], [source.labels[i] for i in numbers], lambda i: read(int(numbers[i]))
    )


def refuse_empty(source, usable, what):
    """Raise InputError where a class has no usable image."""
    empty = sorted(set(source.labels) - {source.labels[i] for i in usable})
    if empty:
        raise InputError(f"Class {empty[0]!r} of {what} has no readable image; repair or remove it.")


def _inspect(split, source, max_unreadable):
    def one(number):
        try:
            content = source.read(number)
            if isinstance(content, np.ndarray):
                return hashlib.sha256(content.tobytes()).digest(), None
            open_image(content)
            return hashlib.sha256(content).digest(), None
        except OSError as error:
            return None, error.strerror or str(error)
        except UnreadableError as error:
            return None, str(error)

    digests, reasons = [], {}
    with Progress(f"looking at {split}", len(source), "images") as progress, ThreadPoolExecutor(_THREADS) as pool:
        for number, (digest, reason) in enumerate(pool.map(one, range(len(source)))):
            digests.append(digest)
            if reason:
                reasons[source.names[number]] = reason
            progress.add()
    report_unreadable(split, len(source), reasons, max_unreadable)
    usable = [i for i, digest in enumerate(digests) if digest is not None]
    refuse_empty(source, usable, split)
    return Inspected(keep(source, usable) if reasons else source, [digests[i] for i in usable])


def _refuse_copies(found):
    """Refuse one picture in two splits, or in two classes of one; in one class twice it is only said."""
    seen: dict[bytes, tuple[str, int]] = {}
    copies = []
    for split, (source, digests) in found.items():
        for number, digest in enumerate(digests):
            if digest not in seen:
                seen[digest] = split, number
                continue
            other, first = seen[digest]
            pair = f"{found[other].source.names[first]} and {source.names[number]}"
            if other != split:
                raise InputError(
                    f"{pair} are the same picture, in {other} and in {split}; expected splits without common images. "
                    "Remove one of them."
                )
            if source.labels[first] != source.labels[number]:
                raise InputError(
                    f"{pair} are the same picture in two classes of {split}; expected one label for it. Remove one."
                )
            copies.append(pair)
    if copies:
        _logger.warning("%d images are there twice in their class, the first are %s.", len(copies), copies[0])
