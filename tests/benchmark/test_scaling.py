"""The plot of cost against shape."""

import itertools

import numpy as np

from leo_tf.benchmark import cases, scaling
from leo_tf.evaluation import plots


def test_every_measurement_is_in_the_plot_and_in_the_numbers(tmp_path, monkeypatch):
    times, figures, finished = itertools.count(1), [], plots.finished
    monkeypatch.setattr(cases, "training", lambda setting, table, jit: cases.Case(None, 0.0))
    monkeypatch.setattr(scaling.timing, "in_turns", lambda timed, *_: {n: [float(next(times))] for n in timed})
    monkeypatch.setattr(plots, "finished", lambda figure: figures.append(figure) or finished(figure))
    measured = scaling.plot_scaling(tmp_path / "scaling.png", repeats=1, steps=1)
    assert (tmp_path / "scaling.png").stat().st_size
    assert measured["ways"] == {2: 6.0, 5: 7.0, 10: 8.0, 20: 9.0}
    for axes, numbers in zip(figures[0].axes, measured.values(), strict=True):
        low, high = axes.get_ylim()
        np.testing.assert_array_equal(axes.lines[0].get_xydata(), list(numbers.items()))
        assert low == 0 and high >= max(numbers.values())
