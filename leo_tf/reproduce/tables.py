"""Tables of the report, each a list of rows of text."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from leo_tf.classification.diagnostics import best_above
from leo_tf.classification.results import EvaluationResult
from leo_tf.evaluation import difference_over_seeds, seed_summary
from leo_tf.reproduce import published
from leo_tf.reproduce.plan import BASELINES, MULTIVIEW_CROP, ROWS, SETTINGS, Cell

_SOURCES = {"paper": published.PAPER, "official README": published.OFFICIAL}
_PUBLISHED_DATA = ("miniImageNet", "tieredImageNet")
Table = list[list[Any]]


class Outcome(NamedTuple):
    """Result of a finished cell."""

    cell: Cell
    result: EvaluationResult
    report: dict[str, Any]  # the evaluation's JSON
    seconds: float


def select(outcomes: Iterable[Outcome], row: str, setting: str) -> list[Outcome]:
    """Return the outcomes of a row in a setting, one per seed."""
    return [outcome for outcome in outcomes if (outcome.cell.row, outcome.cell.setting) == (row, setting)]


def rows_with_outcome(outcomes: Sequence[Outcome]) -> list[str]:
    """Return the rows that have outcomes, in the order of the table."""
    return [row for row in ROWS if any(outcome.cell.row == row for outcome in outcomes)]


def accuracy_table(outcomes: Sequence[Outcome], settings: Sequence[str]) -> Table:
    """Return a row per model, preceded by the baselines that only evaluations of other models measured."""
    rows = rows_with_outcome(outcomes)
    accuracies = [[ROWS[row], *(_accuracy(select(outcomes, row, name)) for name in settings)] for row in rows]
    return _measured_baselines(outcomes, settings, {ROWS[row] for row in rows}) + accuracies


def _accuracy(outcomes: Sequence[Outcome]) -> str:
    if not outcomes:
        return ""
    if len(outcomes) == 1:
        return outcomes[0].result.accuracy.percent()
    summary = seed_summary([outcome.result for outcome in outcomes])
    return f"{100 * summary.mean:.2f} +- {100 * summary.standard_deviation:.2f} % (sd, {summary.num_runs} seeds)"


def _measured_baselines(outcomes: Sequence[Outcome], settings: Sequence[str], titles: set[str]) -> Table:
    def accuracy(setting: str, name: str) -> str:
        of_setting = (outcome.result.baselines for outcome in outcomes if outcome.cell.setting == setting)
        return next((baselines[name].percent() for baselines in of_setting if name in baselines), "")

    names = dict.fromkeys(name for outcome in outcomes for name in outcome.result.baselines)
    titled = {name: name[0].upper() + name[1:] for name in names}
    return [
        [title, *(accuracy(setting, name) for setting in settings)]
        for name, title in titled.items()
        if title not in titles
    ]


def difference_table(outcomes: Sequence[Outcome], settings: Sequence[str]) -> Table:
    """Return each model's paired difference from LEO, averaged task by task over the seeds that both have."""

    def difference(row: str, setting: str) -> str:
        leo = {outcome.cell.seed: outcome.result for outcome in select(outcomes, "leo", setting)}
        pairs = [(o.result, leo[o.cell.seed]) for o in select(outcomes, row, setting) if o.cell.seed in leo]
        if not pairs:
            return ""
        interval = difference_over_seeds(pairs)
        return f"{100 * interval.mean:+.2f} +- {100 * interval.half_width:.2f}"

    rows = [row for row in rows_with_outcome(outcomes) if row != "leo"]
    table = [[ROWS[row], *(difference(row, setting) for setting in settings)] for row in rows]
    return [row for row in table if any(row[1:])]


def below_baselines(outcomes: Sequence[Outcome]) -> list[str]:
    """Return a line for each trained cell that a baseline, measured with it or a row of the table, is above."""
    lines = []
    for cell, result, *_ in outcomes:
        baselines = dict(result.baselines)
        for other in outcomes:
            if other.cell.setting == cell.setting and other.cell.row in BASELINES:
                baselines[other.result.algorithm] = other.result.accuracy
        best = best_above(result.accuracy.mean, {name: interval.mean for name, interval in baselines.items()})
        if best is not None and cell.row not in BASELINES:
            above = sum(interval.mean > result.accuracy.mean for interval in baselines.values())
            lines.append(
                f"{cell.name}: {result.accuracy.percent()}; {above} of {len(baselines)} baselines are above it, the "
                f"best is {best}, {baselines[best].percent()}"
            )
    return lines


def comparison_table(outcomes: Sequence[Outcome]) -> Table:
    """Return measured beside published accuracies, for outcomes on the published data."""
    rows: Table = []
    for row, setting_name in dict.fromkeys((outcome.cell.row, outcome.cell.setting) for outcome in outcomes):
        setting, selected = SETTINGS[setting_name], select(outcomes, row, setting_name)
        if selected[0].report["dataset_name"] in _PUBLISHED_DATA:
            sources = {"paper": published.MULTIVIEW} if MULTIVIEW_CROP in setting.flags else _SOURCES
            for source, accuracies in sources.items():
                if number := accuracies.get(row, {}).get(setting.published):
                    expected = "{:.2f} +- {:.2f} %".format(*number)
                    rows.append([ROWS[row], setting_name, _accuracy(selected), expected, source])
    return rows


def published_table() -> Table:
    """Return all published accuracies."""

    def row(title: str, source: str, accuracies: dict[str, tuple[float, float]]) -> list[str]:
        found = [accuracies.get(setting) for setting in published.SETTINGS]
        return [title, source, *("{:.2f} +- {:.2f}".format(*each) if each else "" for each in found)]

    rows = [row(ROWS[name], source, of) for source, table in _SOURCES.items() for name, of in table.items()]
    return rows + [row(f"{ROWS[n]}, multiview", "paper", of) for n, of in published.MULTIVIEW.items()]


def cell_table(outcomes: Sequence[Outcome]) -> Table:
    """Return a row per cell."""
    return [
        [
            *(cell.row, cell.setting, cell.seed, report["dataset_name"], result.accuracy.percent()),
            *(result.num_tasks, report["step"], f"{seconds:.0f} s"),
        ]
        for cell, result, report, seconds in outcomes
    ]
