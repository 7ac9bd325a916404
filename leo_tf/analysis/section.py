"""A part of the report: what an analysis found, in words, tables, pictures and numbers."""

from typing import Any, NamedTuple

import numpy as np

QUANTILES = (5, 25, 50, 75, 95)  # percent; boxes from the second to the fourth, whiskers to the outer ones


class Picture(NamedTuple):
    """A figure and what is seen in it."""

    figure: Any  # matplotlib Figure
    caption: str  # what is seen, and how it was computed


class Table(NamedTuple):
    """Rows of a table of the report."""

    header: list[str]
    rows: list[list[str]]


class Section(NamedTuple):
    """What an analysis gives the report."""

    title: str
    text: list[str]  # paragraphs
    tables: list[Table]
    pictures: dict[str, Picture]  # by name
    summary: Any  # for JSON


def spread(values):
    """Return quantiles and the number of values, a dict for JSON; NaN values do not count."""
    values = np.asarray(values, np.float64).ravel()
    values = values[~np.isnan(values)]
    found = np.percentile(values, QUANTILES) if values.size else [None] * len(QUANTILES)
    named = {f"percentile_{q}": None if v is None else float(v) for q, v in zip(QUANTILES, found, strict=True)}
    return {"count": int(values.size), **named}


def short(value):
    """Return a number as a reader takes it in: three significant digits."""
    return "" if value is None else f"{value:.3g}"


def spread_cells(values):
    """Return the cells of a table's row: the quantiles of values."""
    return [short(v) for name, v in spread(values).items() if name != "count"]


SPREAD_HEADER = ["5 %", "25 %", "median", "75 %", "95 %"]
