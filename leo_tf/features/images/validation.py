"""Checks of images before the work: unreadable ones, and the same image in two splits."""

import hashlib
import logging
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from leo_tf.errors import InputError
from leo_tf.evaluation.progress import Progress
from leo_tf.features.images.source import Source
from leo_tf.files.pixels import UnreadableError, open_image

_LISTED = 10
_THREADS = 4
_logger = logging.getLogger("leo_tf")


class Inspected(NamedTuple):
    """The readable images of a split."""

    source: Source
    digests: list[bytes]  # SHA-256 of each image's content

    @property
    def digest(self) -> str:
        """SHA-256 in hex of all contents and their classes, in order."""
        joined = hashlib.sha256()
        for content, label in zip(self.digests, self.source.labels, strict=True):
            joined.update(content + label.encode() + b"\0")
        return joined.hexdigest()

    def subset(self, numbers: Sequence[int]) -> "Inspected":
        """Return the images with these numbers."""
        return Inspected(self.source.subset(numbers), [self.digests[i] for i in numbers])


def inspect(splits: Mapping[str, Source], max_unreadable: float = 0.01) -> dict[str, Inspected]:
    """Read the bytes and header of every image once; return {split: Inspected} without the unreadable images.

    A share of `max_unreadable` of a split's images may be unreadable; one always may.
    """
    found = {split: _inspect(split, source, max_unreadable) for split, source in splits.items()}
    _refuse_copies(found)
    return found


def readable_numbers(source: Source, reasons: Mapping[int, str], name: str, max_unreadable: float) -> list[int]:
    """Return the numbers of the readable images of a split, and log the unreadable ones, {number: reason}."""
    if reasons:
        listed = "; ".join(f"{source.names[i]}: {reason}" for i, reason in list(reasons.items())[:_LISTED])
        more = f"; and {len(reasons) - _LISTED} more" if len(reasons) > _LISTED else ""
        found = f"{len(reasons)} of {len(source)} images of {name} cannot be read"
        if len(reasons) > max(1, math.floor(max_unreadable * len(source))):
            raise InputError(
                f"{found}, more than max_unreadable={max_unreadable:g} allows: {listed}{more}. Repair or remove them, "
                "or allow more.",
                "max_unreadable",
            )
        _logger.warning("%s and are skipped: %s%s.", found, listed, more)
    readable = [i for i in range(len(source)) if i not in reasons]
    empty = sorted(set(source.labels) - {source.labels[i] for i in readable})
    if empty:
        raise InputError(f"Class {empty[0]!r} of {name} has no readable image; repair or remove it.")
    return readable


def _inspect(split: str, source: Source, max_unreadable: float) -> Inspected:
    def digest_or_reason(number: int) -> bytes | str:
        try:
            content = source.read(number)
            if isinstance(content, np.ndarray):
                return hashlib.sha256(content.tobytes()).digest()
            open_image(content)
            return hashlib.sha256(content).digest()
        except OSError as error:
            return error.strerror or str(error)
        except UnreadableError as error:
            return str(error)

    found: list[bytes | str] = []
    with Progress(f"reading {split}", len(source), "images") as progress, ThreadPoolExecutor(_THREADS) as pool:
        for each in pool.map(digest_or_reason, range(len(source))):
            found.append(each)
            progress.add()
    reasons = {number: each for number, each in enumerate(found) if isinstance(each, str)}
    readable = readable_numbers(source, reasons, split, max_unreadable)
    return Inspected(source.subset(readable), [each for each in found if isinstance(each, bytes)])


def _refuse_copies(found: Mapping[str, Inspected]) -> None:
    """Refuse one image in two splits or classes; log it if it is twice in a class."""
    seen: dict[bytes, tuple[str, int]] = {}
    copies = []
    for split, (source, digests) in found.items():
        for number, digest in enumerate(digests):
            other, first = seen.setdefault(digest, (split, number))
            if (other, first) == (split, number):
                continue
            pair = f"{found[other].source.names[first]} and {source.names[number]}"
            if other != split:
                raise InputError(
                    f"{pair} are the same image, in {other} and in {split}; expected splits without common images. "
                    "Remove one of them."
                )
            if source.labels[first] != source.labels[number]:
                raise InputError(
                    f"{pair} are the same image in two classes of {split}; expected one label. Remove one of them."
                )
            copies.append(pair)
    if copies:
        _logger.warning("%d images are duplicates within their class, first %s.", len(copies), copies[0])
