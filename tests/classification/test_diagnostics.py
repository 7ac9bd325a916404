"""Advice on a model below a baseline."""

import pytest

from leo_tf.classification.diagnostics import Circumstances, below_baselines
from leo_tf.config import EpisodeConfig

FINE = Circumstances(64, EpisodeConfig(), shots=1, ways=5, best_step=5000, last_step=5000)
NEAREST = {"nearest class mean": 0.6}


def said(**changes):
    return below_baselines("LEO", 0.5, NEAREST, FINE._replace(**changes))


def test_no_advice_unless_below_a_baseline():
    assert below_baselines("LEO", 0.6, NEAREST, FINE) == ""
    assert below_baselines("LEO", float("nan"), NEAREST, FINE) == ""
    assert below_baselines("LEO", 0.6, {}, FINE) == ""


@pytest.mark.parametrize(
    "changes,reason",
    [
        ({}, "The hyperparameters may not suit these data"),
        ({"train_classes": 18}, "There are few classes to learn from (18)"),
        ({"shots": 5}, "It was trained on 1-shot tasks and evaluated on 5-shot tasks"),
        ({"ways": 20}, "It was trained on 5-way tasks and evaluated on 20-way tasks"),
        ({"last_step": 9000}, "It may be over-trained: the best validation was at step 5000 of 9000"),
        ({"best_step": 60, "last_step": 60}, "Training may be too short: 60 steps"),
        ({"best_step": 60, "last_step": None}, "Training may be too short: 60 steps"),
    ],
)
def test_one_line_with_the_likely_reason(changes, reason):
    line = said(**changes)
    assert line.startswith("LEO's accuracy, 50.00 %, is below nearest class mean's, 60.00 %, on the same tasks. ")
    assert reason in line and "\n" not in line
    assert line.count("may") + line.count("few classes") + line.count("It was trained") == 1


def test_the_best_baseline_above_is_named():
    baselines = NEAREST | {"nearest class mean, whitened": 0.7, "ridge": 0.65, "LDA": 0.4}
    assert below_baselines("LEO", 0.7, baselines, FINE) == ""
    line = below_baselines("LEO", 0.62, baselines, FINE)
    assert line.startswith(
        "LEO's accuracy, 62.00 %, is below nearest class mean's (whitened), 70.00 %, on the same tasks (2 of 4 "
        "baselines are better). The hyperparameters may"
    )
