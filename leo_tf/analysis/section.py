"""Section of the report: the findings of one analysis as text, tables, figures and numbers."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

QUANTILES = (5, 25, 50, 75, 95)  # percent
QUANTILE_HEADER = ["5 %", "25 %", "median", "75 %", "95 %"]


class CaptionedFigure(NamedTuple):
    """Figure of the report and its caption."""

    figure: Any  # matplotlib Figure
    caption: str  # what it shows and how it was computed


class Table(NamedTuple):
    """Table of the report."""

    header: list[str]
    rows: list[list[str]]


class Section(NamedTuple):
    """Findings of one analysis."""

    title: str
    text: list[str]  # paragraphs
    tables: list[Table]
    figures: dict[str, CaptionedFigure]  # by file name, without ending
    summary: Mapping[str, Any]  # for JSON
    files: Mapping[str, str] = MappingProxyType({})  # text files beside the report, by name


def quantiles(values: Any) -> dict[str, Any]:
    """Return the quantiles and the number of values for JSON; NaN values are left out."""
    values = np.asarray(values, np.float64).ravel()
    values = values[~np.isnan(values)]
    found = np.percentile(values, QUANTILES).tolist() if values.size else [None] * len(QUANTILES)
    return {"count": int(values.size), **{f"percentile_{q}": v for q, v in zip(QUANTILES, found, strict=True)}}


def quantile_cells(values: Any) -> list[str]:
    """Return the quantiles of values as cells of a table with QUANTILE_HEADER."""
    return [format_number(value) for name, value in quantiles(values).items() if name != "count"]


def format_number(value: float | None) -> str:
    """Return a number with three significant digits, or an empty text for None."""
    return "" if value is None else f"{value:.3g}"
