"""Files for TensorBoard's projector, in which codes are rotated, searched and coloured by label."""

import io

import numpy as np

from leo_tf.analysis.latent_space import STAGES, LatentSpace

_CONFIG = """embeddings {
  tensor_name: "latent codes"
  tensor_path: "codes.tsv"
  metadata_path: "labels.tsv"
}
"""


def projector_files(space: LatentSpace) -> dict[str, str]:
    """Return {name: text} of the files that show a LatentSpace in the folder of TensorBoard's events."""
    vectors = io.StringIO()
    np.savetxt(vectors, space.codes.reshape(-1, space.codes.shape[2]), fmt="%.6g", delimiter="\t")
    columns = {
        "stage": np.repeat(STAGES, len(space.tasks)),
        "task": np.tile(space.tasks, 2),
        **{name: np.tile(texts, 2) for name, texts in space.labels.items()},
        **{name: np.tile(np.round(numbers, 4), 2) for name, numbers in space.values.items()},
    }
    cells = [[" ".join(str(value).split()) for value in row] for row in zip(*columns.values(), strict=True)]
    lines = ["\t".join(row) + "\n" for row in [list(columns), *cells]]
    return {"codes.tsv": vectors.getvalue(), "labels.tsv": "".join(lines), "projector_config.pbtxt": _CONFIG}
