"""Yardsticks in the report: rows for those that evaluations know, and what is said of cells below one."""

from leo_tf.classification.advice import best_above
from leo_tf.reproduce.plan import ROWS


def yardstick_rows(outcomes, settings, titles):
    """Return rows of texts for the yardsticks that evaluations brought along, but for those whose title is in `titles`.

    Args:
      outcomes: list of Outcome.
      settings: names of the columns.
      titles: of the rows that the table has anyway.
    """
    known = dict.fromkeys(name for outcome in outcomes for name in outcome.result.yardsticks)
    rows = []
    for name in known:
        title = name[0].upper() + name[1:]
        if title not in titles:
            rows.append([title, *(_first(outcomes, setting, name) for setting in settings)])
    return rows


def _first(outcomes, setting, name):
    found = (o.result.yardsticks[name] for o in outcomes if o.cell.setting == setting and name in o.result.yardsticks)
    interval = next(found, None)
    return interval.percent() if interval else ""


def below(outcome, outcomes):
    """Return a line on a trained cell that is below yardsticks, its own or rows of the table, on the same tasks."""
    cell, accuracy = outcome.cell, outcome.result.accuracy
    if not ROWS[cell.row].trained:
        return ""
    yardsticks = dict(outcome.result.yardsticks)
    for other in outcomes:
        if other.cell.setting == cell.setting and not ROWS[other.cell.row].trained:
            yardsticks[other.result.algorithm] = other.result.accuracy
    best = best_above(accuracy.mean, {name: interval.mean for name, interval in yardsticks.items()})
    if best is None:
        return ""
    above = sum(interval.mean > accuracy.mean for interval in yardsticks.values())
    return (
        f"{cell.name}: {accuracy.percent()}; above it {above} of {len(yardsticks)} yardsticks, the best {best}, "
        f"{yardsticks[best].percent()}"
    )
