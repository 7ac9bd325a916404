"""The files of an extraction: embeddings as training reads them, and a card that says where they are from."""

import pickle
from pathlib import Path

import numpy as np

from leo_tf.data.layout import official_path
from leo_tf.errors import InputError
from leo_tf.files import npz, write_bytes
from leo_tf.files.reports import versions


def split_file(output, split, views, layout):
    """Return the path of a split's embeddings; of ten crops in the folder that --embedding_crop names."""
    output = Path(output)
    if layout == "official":
        return official_path(output.parent, output.name, crop_of(views), split)
    return output / f"{split}.npz" if crop_of(views) == "center" else output / views / f"{split}_embeddings.npz"


def card_folder(output, views):
    """Return the folder of the card and the extractor."""
    return Path(output) if crop_of(views) == "center" else Path(output) / views


def crop_of(views):
    """Return the --embedding_crop that finds embeddings of these views."""
    return "multiview" if views == "multiview" else "center"


def write_split(path, embedded, dtype, layout):
    """Write a split's Embedded.

    An .npz has embeddings [images, dim], labels [images] and paths [images]; an official pickle embeddings and keys,
    `image-class-class_number`, and paths too.

    Raises:
      InputError: a number is too large for float16, a class's name has a hyphen in the official layout, or the file
        cannot be written.
    """
    source = embedded.source
    with np.errstate(over="ignore"):  # what became infinite is refused
        rows = np.asarray(embedded.embeddings).astype(dtype)
    if not np.isfinite(rows).all():
        raise InputError(
            f"Embeddings reach {np.abs(embedded.embeddings).max():g}, too large for float16; give dtype=float32."
        )
    if layout == "official":
        hyphens = next((name for name in source.classes if "-" in name), None)
        if hyphens:
            raise InputError(
                f"Class {hyphens!r} has a hyphen, by which the official layout splits keys; give layout=npz."
            )
        keys = [f"{number}-{label}-{label}_{number}" for number, label in enumerate(source.labels)]
        content = {"embeddings": rows, "keys": keys, "paths": list(source.names)}
        write_bytes(path, pickle.dumps(content, protocol=2))
    else:
        npz.write(path, embeddings=rows, labels=np.array(source.labels), paths=np.array(source.names))


def card_of(extractor, inspected, embedded, dtype, licence):
    """Return the card: what made the embeddings of which images.

    Args:
      extractor: Extractor.
      inspected: {split: Inspected}.
      embedded: {split: Embedded}.
      dtype: of the files.
      licence: of the images, in the user's words.
    """
    return {
        "format": 1,
        "extractor": extractor.about,
        "embedding_dim": extractor.dim,
        "preprocessing": extractor.preprocessing.to_json(),
        "views": extractor.views,
        "dtype": dtype,
        "images": {
            split: {
                "count": len(found.source),
                "classes": len(found.source.classes),
                "sha256": inspected[split].digest,
                "skipped": found.skipped,
            }
            for split, found in embedded.items()
        },
        "licence": licence,
        "versions": versions(),
    }
