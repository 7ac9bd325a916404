"""The latent space in the report."""

from leo_tf.analysis.latent_figures import layout_figure
from leo_tf.analysis.latent_space import STAGES, latent_space_of
from leo_tf.analysis.section import Picture, Section, Table, short
from leo_tf.errors import InputError

_MEASURES = {
    "silhouette": "silhouette",
    "fisher_ratio": "Fisher ratio",
    "neighbour_accuracy": "1-nearest-neighbour accuracy",
}


def section(analysed, keep=lambda space: None):
    """Return the Section on the latent space of a run.

    Args:
      analysed: Analysed.
      keep: function that is given the LatentSpace, as to write it for TensorBoard's projector.
    """
    subject = analysed.subject("val")
    split = analysed.evaluation("val").request.split
    highlight = highlighted(subject, analysed.highlight)
    found = latent_space_of(subject, analysed.seed)
    keep(found)
    pictures = {}
    for name in found.layouts:
        points = found.layouts[name].shape[1]
        caption = (
            f"{points} codes before and {points} after their latent steps, of {split} tasks, laid out together. "
            f"{found.methods[name]}."
        )
        title = f"{name} of codes, {split} tasks"
        pictures[name.lower().replace("-", "")] = Picture(layout_figure(found, name, highlight, title), caption)
    rows = [
        [f"{label}: {_MEASURES[measure]}", *(short(getattr(stage, measure)) for stage in pair)]
        for label, pair in found.separations.items()
        for measure in _MEASURES
    ]
    rows += [[f"{name}: R² by 5 neighbours", *map(short, pair)] for name, pair in found.neighbours.items()]
    text = [
        f"Codes of {len(subject.tasks)} {split} tasks before and after adaptation, as the paper's section 4.5 looks at "
        "them: means, as in evaluation. How well they tell apart what they are of, in numbers, from the codes "
        "themselves and not from a picture: the silhouette (-1 to 1), the Fisher ratio (scatter between over scatter "
        "within), and how often a code's nearest neighbour is of its kind, looked for in other tasks that do not share "
        "its examples."
    ]
    if not subject.learner.inner_steps[0]:
        text.append("This model takes no latent steps: before and after are the same.")
    summary = {**analysed.about("val"), **found.summary()}
    return Section("Latent space", text, [Table(["", *STAGES], rows)], pictures, summary)


def highlighted(subject, wanted):
    """Return what is shown alone: what was asked for, or the first kind where there are more than two.

    Raises:
      InputError: there is no such kind.
    """
    kinds = [sorted(set(texts)) for texts in subject.labels.values()]
    if wanted:
        if not any(wanted in texts for texts in kinds):
            shown = ", ".join(kinds[0][:10])
            raise InputError(f"Got highlight={wanted}; expected one of {shown}{', ...' * (len(kinds[0]) > 10)}.")
        return wanted
    return kinds[0][0] if len(kinds[0]) > 2 else ""
