"""Turned and mirrored copies of images as classes of their own."""

import numpy as np

from leo_tf.features.images.checks import Inspected
from leo_tf.features.images.layouts import Source
from leo_tf.features.images.pixels import open_image, upright_rgb

COPIES = {"none": 1, "rotations": 4, "rotations_and_mirrored": 8}


def changed(images, copy):
    """Return images [..., height, width, channels] turned by copy % 4 quarters, and mirrored where copy >= 4."""
    turned = np.rot90(images, copy % 4, axes=(-3, -2))
    return turned[..., ::-1, :] if copy >= 4 else turned


def with_copies(inspected, kind):
    """Return an Inspected with every class once more for each copy, after the classes as they are.

    Args:
      inspected: Inspected.
      kind: a key of COPIES.

    Returns:
      Inspected. A class `group/name` is in copy k `group~k/name`, and `name` is `name~k`: copies have groups of their
      own.
    """
    source, size = inspected.source, len(inspected.source)
    copies = range(COPIES[kind])

    def read(number):
        copy, row = divmod(number, size)
        content = source.read(row)
        if not copy:
            return content
        pixels = content if isinstance(content, np.ndarray) else upright_rgb(open_image(content))
        return np.ascontiguousarray(changed(pixels, copy))

    names = [f"{name}~{copy}" if copy else name for copy in copies for name in source.names]
    labels = [_label(label, copy) for copy in copies for label in source.labels]
    digests = [digest + bytes([copy]) * bool(copy) for copy in copies for digest in inspected.digests]
    return Inspected(Source(names, labels, read), digests)


def _label(label, copy):
    group, slash, name = label.rpartition("/")
    if not copy:
        return label
    return f"{group}~{copy}/{name}" if slash else f"{name}~{copy}"
