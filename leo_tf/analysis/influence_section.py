"""What hangs on single support examples, in the report."""

from leo_tf.analysis.section import SPREAD_HEADER, Picture, Section, Table, spread, spread_cells
from leo_tf.evaluation import plots

_BINS = 40


def section(analysed, leave_one_out, words):
    """Return the Section on leaving out support examples.

    Args:
      analysed: Analysed.
      leave_one_out: function from a AnalysisTarget to a NamedTuple of arrays, the first axis tasks.
      words: {field: what it is}.
    """
    found, split = leave_one_out(analysed.subject("test")), analysed.evaluation("test").request.split
    fields = {words[name]: values for name, values in found._asdict().items()}
    tasks = len(found[0])
    caption = f"For every support example of {tasks} {split} tasks: adaptation without it against adaptation with it."
    rows = [[name, *spread_cells(values)] for name, values in fields.items()]
    text = [
        f"How much hangs on one example: {tasks} {split} tasks, adapted again with each support example left out. An "
        "example without which the answers are better is a bad one, or labelled wrong."
    ]
    summary = {**analysed.about("test"), "num_tasks": tasks}
    summary |= {name: spread(values) for name, values in found._asdict().items()}
    pictures = {"leave_one_out": Picture(influence_figure(fields), caption)}
    return Section("Leaving out an example", text, [Table(["", *SPREAD_HEADER], rows)], pictures, summary)


def influence_figure(fields):
    """Draw histograms of what leaving out an example does; fields: {what it is: values}."""
    figure = plots.new_figure(3.8 * len(fields), 2.9)
    for axes, (name, values) in zip(figure.subplots(1, len(fields), squeeze=False).flat, fields.items(), strict=True):
        axes.hist(values.ravel(), bins=_BINS)
        axes.set(xlabel=name, ylabel="examples")
    return plots.finished(figure)
