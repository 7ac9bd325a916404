"""Values of JSON and TOML, and valid documents with parts changed at any depth."""

import copy
import datetime

from hypothesis import strategies as st

_ODD_NUMBERS = (0, 1, -1, 2**31, 2**53 + 1, 2**63, 10**30, 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf"))
_ODD_TEXTS = ("", "0", "true", "leo", "../..", "a/b", "\0", "é", "x" * 5000, "%s{}", "~", "-", "\n")

_simple = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
_odd = st.sampled_from([*_ODD_NUMBERS, *_ODD_TEXTS])
_nested = st.recursive(
    _simple | _odd,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=6,
)
values = st.sampled_from([_odd, _odd, _nested]).flatmap(lambda kind: kind)  # mostly values of the wrong kind
times = st.sampled_from([datetime.date(2026, 1, 1), datetime.time(1, 2), datetime.datetime(2026, 1, 1, 2, 3)])


@st.composite
def changed(draw, documents, replacements=values, most=3):
    """Draw one of the documents with parts replaced, left out or added."""
    document = copy.deepcopy(draw(st.sampled_from(documents)))
    for _ in range(draw(st.integers(1, most))):
        place, steps = document, draw(st.integers(0, 3))
        while steps and isinstance(place, (dict, list)) and len(place):
            inner = draw(st.sampled_from(_keys(place)))
            if not isinstance(place[inner], (dict, list)):
                break
            place, steps = place[inner], steps - 1
        if not isinstance(place, (dict, list)):
            return draw(replacements)
        kind = draw(st.sampled_from(["replace", "replace", "leave out", "add", "whole"]))
        if kind == "whole" and draw(st.integers(0, 9)) == 0:
            document = draw(replacements)
            if not isinstance(document, (dict, list)):
                return document
        elif kind == "add" and isinstance(place, dict):
            place[draw(st.text(max_size=8))] = draw(replacements)
        elif len(place):
            key = draw(st.sampled_from(_keys(place)))
            if kind == "leave out":
                del place[key]
            else:
                place[key] = draw(replacements)
    return document


def _keys(place):
    return list(place) if isinstance(place, dict) else list(range(len(place)))
