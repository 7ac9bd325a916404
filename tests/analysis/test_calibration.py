"""Calibration against values by hand and against the evaluation on the same tasks."""

import numpy as np
import pytest

from leo_tf import LEO, EpisodeSampler, InputError, LEOConfig
from leo_tf.classification.calibration import answers, calibrate
from leo_tf.classification.evaluation import evaluate_tasks
from leo_tf.classification.tasks import draw_tasks
from leo_tf.evaluation.calibration import Tallies, calibration, fit_temperature, tally


def test_calibration_matches_values_by_hand():
    """Two tasks of three queries, two classes, five bins; softmax(log p) is p."""
    probabilities = np.array([
        [[0.9, 0.1], [0.3, 0.7], [0.75, 0.25]],
        [[0.95, 0.05], [0.35, 0.65], [0.5, 0.5]],
    ])  # fmt: skip
    labels = np.array([[0, 1, 0], [1, 1, 1]])
    found = calibration(tally(np.log(probabilities), labels, bins=5))
    # Up to 0.6: 0.5, a tie that is half right. Up to 0.8: 0.7, 0.75, 0.65, all right. Up to 1: 0.9 right, 0.95 wrong.
    np.testing.assert_array_equal(found.bin_count, [0, 0, 1, 3, 2])
    np.testing.assert_allclose(found.bin_confidence[2:], [0.5, 0.7, 0.925], rtol=1e-12)
    np.testing.assert_allclose(found.bin_accuracy[2:], [0.5, 1.0, 0.5], rtol=1e-12)
    assert np.isnan(found.bin_accuracy[:2]).all() and np.isnan(found.bin_confidence[:2]).all()
    assert found.expected_error == pytest.approx((3 * (1.0 - 0.7) + 2 * (0.925 - 0.5)) / 6, rel=1e-12)
    losses = [-(np.log(0.9) + np.log(0.7) + np.log(0.75)) / 3, -(np.log(0.05) + np.log(0.65) + np.log(0.5)) / 3]
    assert found.negative_log_likelihood.mean == pytest.approx(np.mean(losses), rel=1e-12)
    briers = [2 * (0.1**2 + 0.3**2 + 0.25**2) / 3, 2 * (0.95**2 + 0.35**2 + 0.5**2) / 3]
    assert found.brier.mean == pytest.approx(np.mean(briers), rel=1e-12)
    summary = found.summary()
    assert summary["bins"][0] == {"count": 0} and summary["bins"][4]["count"] == 2


def test_a_bin_includes_its_upper_edge():
    thirds = np.full((1, 1, 3), 1 / 3)
    for bins, expected in ((3, 0), (15, 4)):
        assert tally(np.log(thirds), np.zeros((1, 1), int), bins).queries[0].argmax() == expected
    certain = tally(np.array([[[0.0, -1e4]]]), np.zeros((1, 1), int))
    assert certain.queries[0, -1] == 1 and certain.loss[0] == 0 and certain.brier[0] == 0


def test_answers_drawn_from_the_probabilities_are_calibrated():
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(40, 500, 4))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    labels = (probabilities.cumsum(axis=-1) < rng.random((40, 500, 1))).sum(axis=-1)
    good, bold = calibration(tally(logits, labels)), calibration(tally(3 * logits, labels))
    assert good.expected_error < 0.02 < 0.1 < bold.expected_error
    assert good.negative_log_likelihood.mean < bold.negative_log_likelihood.mean
    assert good.brier.mean < bold.brier.mean


@pytest.mark.parametrize("at_once", [1, 2**24])
def test_calibration_of_a_model_agrees_with_its_evaluation(monkeypatch, uneven_table, at_once):
    monkeypatch.setattr("leo_tf.classification.tasks._FLOATS_AT_ONCE", at_once)
    model = LEO(LEOConfig(inner_unroll_length=2, finetuning_unroll_length=1, num_latents=4), 8, seed=1)
    tasks = draw_tasks(uneven_table, 3, 2, None, 6)
    found, result = calibrate(model, uneven_table, tasks), evaluate_tasks(model, uneven_table, tasks)
    assert found.negative_log_likelihood == pytest.approx(result.loss, rel=1e-5)
    filled = found.bin_count > 0
    assert found.bin_count.sum() == 6 * 3 * EpisodeSampler(uneven_table, 3, 2).queries
    accuracy = np.average(found.bin_accuracy[filled], weights=found.bin_count[filled])
    assert accuracy == pytest.approx(result.accuracy.mean, rel=1e-6)


def test_one_task_has_no_interval():
    one = tally(np.zeros((1, 2, 3)), np.zeros((1, 2), int))
    assert isinstance(one, Tallies)
    with pytest.raises(InputError, match="Got 1 task results"):
        calibration(one)


def test_fitted_temperature_recovers_the_scale_of_logits():
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(40, 500, 4))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    labels = (probabilities.cumsum(axis=-1) < rng.random((40, 500, 1))).sum(axis=-1)
    assert fit_temperature((3 * logits, labels))[0] == pytest.approx(3, rel=0.05)
    assert fit_temperature((logits / 5, labels))[0] == pytest.approx(1 / 5, rel=0.05)
    half = logits[:, :250], labels[:, :250]
    both = fit_temperature(half, (logits[:, 250:], labels[:, 250:]))
    np.testing.assert_allclose(both, fit_temperature((logits, labels)), rtol=1e-4)


def test_fitted_temperature_lowers_the_loss_of_a_model(uneven_table):
    model = LEO(LEOConfig(inner_unroll_length=2, finetuning_unroll_length=1, num_latents=4), 8, seed=1)
    tasks = draw_tasks(uneven_table, 3, 2, None, 20)
    temperature = fit_temperature(answers(model, uneven_table, tasks))[0]
    before, after = (calibrate(model, uneven_table, tasks, temperature=t) for t in (1.0, temperature))
    assert after.negative_log_likelihood.mean < before.negative_log_likelihood.mean
    assert abs(np.log(temperature)) > 0.01
