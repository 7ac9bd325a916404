"""The latent space section of the report, and files for TensorBoard's projector."""

import io

import numpy as np

from leo_tf.analysis.context import AnalysisContext
from leo_tf.analysis.latent_figures import draw_projection
from leo_tf.analysis.latent_space import STAGES, LatentSpace, measure_latent_space
from leo_tf.analysis.section import CaptionedFigure, Section, Table, format_number
from leo_tf.analysis_target import AnalysisTarget
from leo_tf.errors import InputError

_MEASURES = {
    "silhouette": "silhouette",
    "fisher_ratio": "Fisher ratio",
    "neighbour_accuracy": "1-nearest-neighbour accuracy",
}
_PROJECTOR_CONFIG = """embeddings {
  tensor_name: "latent codes"
  tensor_path: "codes.tsv"
  metadata_path: "labels.tsv"
}
"""


def section(context: AnalysisContext) -> Section:
    """Return the latent space Section."""
    target, split = context.target("val"), context.evaluation("val").request.split
    highlight = find_highlight(target, context.highlight)
    found = measure_latent_space(target, context.seed)
    figures = {}
    for name, each in found.projections.items():
        count = len(each.points) // 2
        figures[name.lower().replace("-", "")] = CaptionedFigure(
            draw_projection(found, name, highlight, f"{name} of codes, {split} tasks"),
            f"{count} codes before and {count} after their latent steps, of {split} tasks, projected together. "
            f"{each.method}.",
        )
    rows = [
        [f"{label}: {_MEASURES[measure]}", *(format_number(getattr(stage, measure)) for stage in pair)]
        for label, pair in found.separations.items()
        for measure in _MEASURES
    ]
    rows += [[f"{name}: R² by 5 neighbours", *map(format_number, pair)] for name, pair in found.explained.items()]
    text = [
        f"Codes of {len(target.tasks)} {split} tasks before and after adaptation, as in the paper's section 4.5; they "
        "are means, as in evaluation. Their separation by label is measured on the codes themselves, not on a "
        "projection: the silhouette (-1 to 1), the Fisher ratio (scatter between over scatter within the labels), and "
        "how often a code's nearest neighbour has the same label. Neighbours are codes of other tasks that share no "
        "example."
    ]
    if not target.learner.inner_steps[0]:
        text.append("This model takes no latent steps: before and after are the same.")
    return Section(
        "Latent space",
        text,
        [Table(["", *STAGES], rows)],
        figures,
        {**context.describe("val"), **found.summary()},
        projector_files(found),
    )


def find_highlight(target: AnalysisTarget, label: str) -> str:
    """Return the label to show alone: the given one, which has to exist, or the first of more than two."""
    labels = [sorted(set(texts)) for texts in target.labels.values()]
    if label:
        if not any(label in texts for texts in labels):
            shown = ", ".join(labels[0][:10])
            raise InputError(
                f"Got highlight={label}; expected one of {shown}{', ...' * (len(labels[0]) > 10)}.", "highlight"
            )
        return label
    return labels[0][0] if len(labels[0]) > 2 else ""


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
    return {"codes.tsv": vectors.getvalue(), "labels.tsv": "".join(lines), "projector_config.pbtxt": _PROJECTOR_CONFIG}
