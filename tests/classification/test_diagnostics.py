"""Advice on a model below a baseline."""

import pytest

from leo_tf.classification.diagnostics import Circumstances, below_baseline
from leo_tf.config import EpisodeConfig
from leo_tf.evaluation.intervals import Interval

FINE = Circumstances("leo", 64, EpisodeConfig(), shots=1, ways=5, best_step=5000, last_step=5000)
PROTO_LEO = "ProtoLEO is more accurate on most data: train it with --flagfile=configs/proto_leo.cfg."


def said(mean=-0.1, half_width=0.01, **changes):
    return below_baseline("LEO", "ridge, whitened", Interval(mean, half_width), FINE._replace(**changes))


@pytest.mark.parametrize("mean", [0.1, 0.0, -0.0099, float("nan")])
def test_no_advice_unless_the_interval_is_below_zero(mean):
    assert said(mean) == ""


@pytest.mark.parametrize(
    "changes,reason",
    [
        ({}, ""),
        ({"train_classes": 18}, "There are few classes to learn from (18); more would help most. "),
        (
            {"shots": 5},
            "It was trained on 1-shot tasks and evaluated on 5-shot tasks; train it on 5-shot tasks. ",
        ),
        ({"ways": 20}, "It was trained on 5-way tasks and evaluated on 20-way tasks. "),
        ({"last_step": 9000}, "It may be over-trained: the best validation was at step 5000 of 9000. "),
        ({"best_step": 60, "last_step": 60}, "Training may be too short: 60 steps so far. "),
        ({"best_step": 60, "last_step": None}, "Training may be too short: 60 steps so far. "),
    ],
)
def test_one_line_with_the_likely_reason_and_what_is_better(changes, reason):
    begin = "LEO is 10.00 +- 1.00 points below ridge, whitened, the best baseline on the same tasks. "
    assert said(**changes) == begin + reason + PROTO_LEO


def test_proto_leo_is_not_advised_to_become_one():
    assert said(algorithm="proto_leo", last_step=9000).endswith("the best baseline on the same tasks.")
