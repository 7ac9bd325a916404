"""Codes for TensorBoard's projector: rotated, searched and coloured by label in the browser."""

import io

import numpy as np

from leo_tf.analysis.latent_space import STAGES
from leo_tf.files import write_text

_CONFIG = """embeddings {
  tensor_name: "latent codes"
  tensor_path: "codes.tsv"
  metadata_path: "labels.tsv"
}
"""


def write_projector(folder, space):
    """Write codes and labels into a folder of TensorBoard's events.

    Args:
      folder: Path.
      space: LatentSpace.

    Raises:
      InputError: a file cannot be written.
    """
    vectors = io.StringIO()
    np.savetxt(vectors, space.codes.reshape(-1, space.codes.shape[2]), fmt="%.6g", delimiter="\t")
    columns = {
        "stage": np.repeat(STAGES, len(space.tasks)),
        "task": np.tile(space.tasks, 2),
        **{name: np.tile(texts, 2) for name, texts in space.labels.items()},
        **{name: np.tile(np.round(numbers, 4), 2) for name, numbers in space.values.items()},
    }
    lines = ["\t".join(columns), *("\t".join(map(_cell, row)) for row in zip(*columns.values(), strict=True))]
    write_text(folder / "codes.tsv", vectors.getvalue())
    write_text(folder / "labels.tsv", "\n".join(lines) + "\n")
    write_text(folder / "projector_config.pbtxt", _CONFIG)


def _cell(value):
    return " ".join(str(value).split())
