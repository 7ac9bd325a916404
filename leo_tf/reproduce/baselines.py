"""Baselines in the report: rows for those that evaluations know, and what is said of cells below one."""

from leo_tf.classification.diagnostics import best_above
from leo_tf.reproduce.plan import ROWS


def baseline_rows(outcomes, settings, titles):
    """Return rows of texts for the baselines that evaluations brought along, but for those whose title is in `titles`.

    Args:
      outcomes: list of Outcome.
      settings: names of the columns.
      titles: of the rows that the table has anyway.
    """
    known = dict.fromkeys(name for outcome in outcomes for name in outcome.result.baselines)
    rows = []
    for name in known:
        title = name[0].upper() + name[1:]
        if title not in titles:
            rows.append([title, *(_first(outcomes, setting, name) for setting in settings)])
    return rows


def _first(outcomes, setting, name):
    found = (o.result.baselines[name] for o in outcomes if o.cell.setting == setting and name in o.result.baselines)
    interval = next(found, None)
    return interval.percent() if interval else ""


def below(outcome, outcomes):
    """Return a line on a trained cell that is below baselines, its own or rows of the table, on the same tasks."""
    cell, accuracy = outcome.cell, outcome.result.accuracy
    if not ROWS[cell.row].trained:
        return ""
    baselines = dict(outcome.result.baselines)
    for other in outcomes:
        if other.cell.setting == cell.setting and not ROWS[other.cell.row].trained:
            baselines[other.result.algorithm] = other.result.accuracy
    best = best_above(accuracy.mean, {name: interval.mean for name, interval in baselines.items()})
    if best is None:
        return ""
    above = sum(interval.mean > accuracy.mean for interval in baselines.values())
    return (
        f"{cell.name}: {accuracy.percent()}; above it {above} of {len(baselines)} baselines, the best {best}, "
        f"{baselines[best].percent()}"
    )
