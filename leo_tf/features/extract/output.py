"""The files of an extraction: embeddings as training reads them, and the extractor metadata."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from leo_tf.data.layout import official_path
from leo_tf.errors import InputError
from leo_tf.features.extract.extraction import Embedded
from leo_tf.features.extractor import Extractor
from leo_tf.features.images.validation import Inspected
from leo_tf.files import npz, write_bytes
from leo_tf.files.reports import versions


def split_file(output: str | Path, split: str, views: str, layout: str) -> Path:
    """Return the path of a split's embeddings; those of ten crops are in a folder of their own."""
    output = Path(output)
    if layout == "official":
        return official_path(output.parent, output.name, crop_of(views), split)
    return output / f"{split}.npz" if crop_of(views) == "center" else output / views / f"{split}_embeddings.npz"


def extractor_folder(output: str | Path, views: str) -> Path:
    """Return the folder of the extractor and its metadata."""
    return Path(output) if crop_of(views) == "center" else Path(output) / views


def crop_of(views: str) -> str:
    """Return the value of `embedding_crop` with which embeddings of these views are read."""
    return "multiview" if views == "multiview" else "center"


def write_split(path: str | Path, embedded: Embedded, dtype: str, layout: str) -> None:
    """Write a split: an .npz of embeddings [images, dim], labels and paths, or an official pickle of the same."""
    source = embedded.source
    with np.errstate(over="ignore"):  # infinity is refused below
        rows = np.asarray(embedded.embeddings).astype(dtype)
    if not np.isfinite(rows).all():
        raise InputError(
            f"Embeddings reach {np.abs(embedded.embeddings).max():g}, too large for float16; give dtype=float32.",
            "dtype",
        )
    if layout == "npz":
        npz.write(path, embeddings=rows, labels=np.array(source.labels), paths=np.array(source.names))
        return
    hyphens = next((name for name in source.classes if "-" in name), None)
    if hyphens:
        raise InputError(
            f"Class {hyphens!r} has a hyphen, which separates the parts of a key in the official layout; give "
            "layout=npz.",
            "layout",
        )
    # The official keys are image-class-class_number.
    keys = [f"{number}-{label}-{label}_{number}" for number, label in enumerate(source.labels)]
    content = {"embeddings": rows, "keys": keys, "paths": list(source.names)}
    write_bytes(path, pickle.dumps(content, protocol=2))


def metadata_of(
    extractor: Extractor, inspected: Mapping[str, Inspected], embedded: Mapping[str, Embedded], dtype: str, licence: str
) -> dict[str, Any]:
    """Return the extractor metadata: what made the embeddings of which images, {split: images}."""
    return {
        **extractor.description(),
        "embedding_dim": extractor.dim,
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
