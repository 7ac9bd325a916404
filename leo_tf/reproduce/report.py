"""The report of a reproduction: Markdown, the same as HTML, and a picture."""

import base64
import dataclasses
import json
import shlex
from pathlib import Path

import numpy as np

from leo_tf.classification.results import EvaluationResult
from leo_tf.errors import InputError
from leo_tf.evaluation.comparison import compare, seed_summary
from leo_tf.evaluation.intervals import confidence_interval
from leo_tf.files import replace_file
from leo_tf.reproduce import published
from leo_tf.reproduce.plan import ROWS, SETTINGS, Cell

_SOURCES = {"paper": published.PAPER, "official README": published.OFFICIAL}
_PUBLISHED_DATA = ("miniImageNet", "tieredImageNet")
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem; border-bottom: 1px solid #ddd; text-align: left; }
th { border-bottom: 2px solid #888; }
pre, code { background: #f5f5f5; } pre { padding: .8rem; overflow-x: auto; } img { max-width: 100%; }
"""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a finished cell gave."""

    cell: Cell
    result: EvaluationResult
    about: dict  # the evaluation's JSON
    seconds: float


def gather(cells, statuses):
    """Return an Outcome for each cell that succeeded."""
    outcomes = []
    for cell in cells:
        if statuses[cell.name]["ok"]:
            about = json.loads(cell.result.read_text(encoding="utf-8"))
            result = EvaluationResult.load(cell.result.with_suffix(".npz"))
            outcomes.append(Outcome(cell, result, about, statuses[cell.name]["seconds"]))
    return outcomes


def write_report(folder, cells, statuses, command):
    """Write report.md, report.html and accuracy.png.

    Args:
      folder: where to.
      cells: list of Cell.
      statuses: from `run_cells`.
      command: the command line that makes the report again.

    Returns:
      The path of report.md.

    Raises:
      InputError: a package is missing that the report needs.
    """
    try:
        import markdown
    except ImportError:
        raise InputError("The report needs the package markdown; pip install 'leo_tf[reproduce]'.") from None
    folder, outcomes = Path(folder), gather(cells, statuses)
    if outcomes:
        _plot(outcomes, folder / "accuracy.png")
    text = "\n".join(_sections(cells, statuses, outcomes, command))
    with replace_file(folder / "report.md") as file:
        file.write(text.encode())
    body = markdown.markdown(text, extensions=["tables", "fenced_code"])
    if outcomes:
        picture = base64.b64encode((folder / "accuracy.png").read_bytes()).decode()
        body = body.replace('src="accuracy.png"', f'src="data:image/png;base64,{picture}"')
    page = '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>LEO, reproduced</title>'
    with replace_file(folder / "report.html") as file:
        file.write(f"{page}<style>{_STYLE}</style>\n{body}\n</html>\n".encode())
    return folder / "report.md"


def _sections(cells, statuses, outcomes, command):
    failed = [cell for cell in cells if not statuses[cell.name]["ok"]]
    yield "# LEO, reproduced\n"
    yield f"{len(outcomes)} of {len(cells)} cells finished. Made with\n\n```\n{command}\n```\n"
    if outcomes:
        yield "![accuracy of every row](accuracy.png)\n"
    for on_val, title in (
        (False, "Trained on the training classes"),
        (True, "Trained on training and validation classes"),
    ):
        settings = [name for name in dict.fromkeys(c.setting for c in cells) if SETTINGS[name].train_on_val == on_val]
        here = [o for o in outcomes if o.cell.setting in settings]
        if here:
            yield f"## {title}\n"
            yield (
                "Test accuracy in per cent. With one seed: the mean over tasks and its 95 % confidence interval. With "
                "several: the mean over seeds and the standard deviation over seeds, as most likely in the paper.\n"
            )
            yield _accuracy_table(here, settings)
            if on_val:
                yield _beside_published(here, settings)
            yield "Against LEO on the same tasks, seed by seed: mean difference in points, 95 % interval over tasks.\n"
            yield _difference_table(here, settings)
    yield "## Published\n"
    yield (
        "For comparison with rows trained on training and validation classes of the published embeddings, and with "
        "nothing else.\n"
    )
    yield _published_table()
    yield "## Cells\n"
    yield _cell_table(outcomes)
    if failed:
        yield "## Failed\n"
        for cell in failed:
            status = statuses[cell.name]
            yield f"**{cell.name}**\n\n```\n{status['reason']}\npython {status['command']}\n```\n"
    yield "## Commands\n"
    yield "```"
    for cell in cells:
        for script, flags in cell.commands():
            yield f"python {script} {shlex.join(flags)}"
    yield "```\n"


def _table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(str(value) for value in line)} |" for line in lines) + "\n"


def _of(outcomes, row, setting):
    return [outcome for outcome in outcomes if (outcome.cell.row, outcome.cell.setting) == (row, setting)]


def _accuracy_table(outcomes, settings):
    rows = []
    for row in [name for name in ROWS if any(o.cell.row == name for o in outcomes)]:
        rows.append([ROWS[row].title, *(_accuracy(_of(outcomes, row, setting)) for setting in settings)])
    nearest = ["Nearest class mean"]
    for setting in settings:
        here = [o for o in outcomes if o.cell.setting == setting]
        nearest.append(here[0].result.nearest_class_mean.percent() if here else "")
    return _table(["model", *settings], [nearest, *rows])


def _beside_published(outcomes, settings):
    """Return measured and published numbers in one table, for cells on the published data; else nothing."""
    rows = []
    for outcome in outcomes:
        setting = SETTINGS[outcome.cell.setting]
        sources = {"paper": published.MULTIVIEW} if setting.multiview else _SOURCES
        comparable = outcome.about["dataset_name"] in _PUBLISHED_DATA and outcome.cell.seed == outcomes[0].cell.seed
        for source, numbers in sources.items() if comparable else ():
            number = numbers.get(outcome.cell.row, {}).get(setting.published)
            if number:
                measured = _accuracy(_of(outcomes, outcome.cell.row, outcome.cell.setting))
                title = ROWS[outcome.cell.row].title
                rows.append([title, outcome.cell.setting, measured, "{:.2f} +- {:.2f} %".format(*number), source])
    return _table(["model", "setting", "measured", "published", "source"], rows) if rows else ""


def _accuracy(outcomes):
    """Return the accuracy of one row in one setting as text."""
    if not outcomes:
        return ""
    if len(outcomes) == 1:
        return outcomes[0].result.accuracy.percent()
    summary = seed_summary([outcome.result for outcome in outcomes])
    return f"{100 * summary.mean:.2f} +- {100 * summary.standard_deviation:.2f} % (sd, {summary.num_runs} seeds)"


def _difference_table(outcomes, settings):
    rows = []
    for row in [name for name in ROWS if name != "leo" and any(o.cell.row == name for o in outcomes)]:
        texts = [_difference(_of(outcomes, row, s), _of(outcomes, "leo", s)) for s in settings]
        rows.append([ROWS[row].title, *texts])
    return _table(["model less LEO", *settings], rows)


def _difference(outcomes, of_leo):
    """Return the paired difference from LEO, averaged task by task over the seeds that both have."""
    leo = {outcome.cell.seed: outcome.result for outcome in of_leo}
    pairs = [(o.result, leo[o.cell.seed]) for o in outcomes if o.cell.seed in leo]
    if not pairs:
        return ""
    for one, other in pairs:
        compare(one, other)  # raises if the tasks differ
    difference = np.mean([one.task_accuracy - other.task_accuracy for one, other in pairs], axis=0)
    interval = confidence_interval(difference)
    return f"{100 * interval.mean:+.2f} +- {100 * interval.half_width:.2f}"


def _published_table():
    def texts(numbers):
        return [f"{a:.2f} +- {b:.2f}" for a, b in (numbers.get(s, (np.nan, np.nan)) for s in published.SETTINGS)]

    rows = [[ROWS[row].title, "paper", *texts(numbers)] for row, numbers in published.PAPER.items()]
    rows += [[ROWS[row].title, "official README", *texts(numbers)] for row, numbers in published.OFFICIAL.items()]
    rows += [
        [f"{ROWS[row].title}, multiview", "paper", *texts(numbers)] for row, numbers in published.MULTIVIEW.items()
    ]
    return _table(["model", "source", *published.SETTINGS], rows).replace("nan +- nan", "")


def _cell_table(outcomes):
    rows = []
    for outcome in outcomes:
        cell, result, about = outcome.cell, outcome.result, outcome.about
        rows.append(
            [
                *(
                    cell.row,
                    cell.setting,
                    cell.seed,
                    about["dataset_name"],
                    result.accuracy.percent(),
                    result.num_tasks,
                ),
                *(about["step"], f"{outcome.seconds:.0f} s"),
            ]
        )
    header = ["row", "setting", "seed", "data", "accuracy, 95 % interval", "tasks", "best step"]
    header.append("time since last start")  # a cell that was stopped goes on where it was
    return _table(header, rows)


def _plot(outcomes, path):
    try:
        import matplotlib
    except ImportError:
        raise InputError("The report needs matplotlib; pip install 'leo_tf[reproduce]'.") from None
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    settings = list(dict.fromkeys(outcome.cell.setting for outcome in outcomes))
    rows = [row for row in ROWS if any(outcome.cell.row == row for outcome in outcomes)]
    figure, axes = plt.subplots(
        1, len(settings), figsize=(2.5 + 3.2 * len(settings), 1 + 0.4 * len(rows)), sharey=True, squeeze=False
    )
    for axis, setting in zip(axes[0], settings, strict=True):
        for place, row in enumerate(rows):
            for outcome in _of(outcomes, row, setting):
                mean, half_width = (100 * value for value in outcome.result.accuracy)
                axis.errorbar(mean, place, xerr=half_width, fmt="o", markersize=4, color="C0", alpha=0.7)
        here = [outcome for outcome in outcomes if outcome.cell.setting == setting]
        axis.axvline(100 * here[0].result.nearest_class_mean.mean, color="0.6", linestyle="--", linewidth=1)
        axis.set(title=setting, xlabel="test accuracy, %", yticks=range(len(rows)))
        axis.set_yticklabels([ROWS[row].title for row in rows])
        axis.invert_yaxis() if axis is axes[0][0] else None
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle("one point a seed, 95 % interval over tasks; dashed: nearest class mean", fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
