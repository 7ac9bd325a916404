"""The unknown class against densities in NumPy, its fit, and tasks with queries of classes that are not shown."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

from leo_tf import LEO, EmbeddingTable, InputError, LEOConfig, ProtoLEO, ProtoLEOConfig, RunConfig
from leo_tf.classification.calibration import fit_calibration
from leo_tf.classification.maml import MAML
from leo_tf.classification.plda_classifier import plda_log_ratios
from leo_tf.classification.proto_leo_init import InitializationData
from leo_tf.classification.unknown import calibrated_log_ratios, fit_unknown, log_ratios_of, shown_log_odds
from leo_tf.classification.unknown_tasks import area_under_roc, unknown_auroc, unknown_episodes
from leo_tf.config import EpisodeConfig
from leo_tf.runs.calibration import RunCalibration

WAYS, DIM = 3, 6
RNG = np.random.default_rng(0)
VARIANCES, METRIC = RNG.uniform(0.1, 3, DIM), RNG.uniform(0.2, 2, DIM)


def table_of(seed, classes=9, rows=30):
    rng = np.random.default_rng(seed)
    found = rng.normal(size=(classes, 1, DIM)) + 0.3 * rng.normal(size=(classes, rows, DIM))
    return EmbeddingTable.from_arrays(found.reshape(-1, DIM), np.repeat(np.arange(classes), rows), source="arrays")


@pytest.fixture(scope="module")
def model():
    model = ProtoLEO(LEOConfig(), ProtoLEOConfig(0.3, 0.3, 5.0), DIM, seed=1)
    model.initialize(InitializationData(table_of(1), None, WAYS, "all"))
    return model


def with_one(rows):
    return np.concatenate([rows, np.ones_like(rows[..., :1])], axis=-1)


@pytest.mark.parametrize("shots", [1, 4])
def test_log_ratios_are_those_of_the_densities(shots):
    """Without unit length, and with the lengths of z themselves."""
    rng = np.random.default_rng(shots)
    support, queries = rng.normal(size=(1, WAYS, shots, DIM)), rng.normal(size=(1, 5, DIM))
    rows = plda_log_ratios(tf.constant((support * METRIC).mean(axis=2)), shots, VARIANCES, METRIC, 1.0)
    found = log_ratios_of(tf.constant(with_one(queries * METRIC)), rows)[0]
    s = (1 + (shots + 1) * VARIANCES) / (1 + shots * VARIANCES)
    centres = shots * VARIANCES / (1 + shots * VARIANCES) * support.mean(axis=2)[0]
    shown = stats.norm.logpdf(queries[0][:, None], centres, np.sqrt(s)).sum(axis=-1)
    other = stats.norm.logpdf(queries[0][:, None], 0, np.sqrt(1 + VARIANCES)).sum(axis=-1)
    np.testing.assert_allclose(found, shown - other, rtol=1e-10)


def test_log_odds_have_equal_priors_a_temperature_and_a_threshold():
    rng = np.random.default_rng(2)
    rows, features = rng.normal(size=(2, WAYS, 2 * DIM + 1)), with_one(rng.normal(size=(2, 4, DIM)))
    found = shown_log_odds(features, calibrated_log_ratios(tf.constant(rows), 2.0, 0.7))
    ratios = np.concatenate([features, features[..., :-1] ** 2], axis=-1) @ rows.transpose(0, 2, 1)
    np.testing.assert_allclose(found, np.log(np.exp(ratios / 2).mean(axis=-1)) - 0.7, rtol=1e-10)


def test_the_fit_recovers_temperature_and_threshold():
    rng = np.random.default_rng(3)
    answers = []
    for ways in (3, 8):
        ratios = 4 * rng.normal(size=(60_000, ways)) + 5
        odds = special.logsumexp(ratios / 2.5, axis=-1) - np.log(ways) - 3.0
        answers.append((ratios, special.expit(odds) > rng.random(len(odds))))
    temperature, threshold = fit_unknown(*answers)
    assert temperature == pytest.approx(2.5, rel=0.1)  # shown queries and others weigh half and half, here almost
    assert threshold == pytest.approx(3.0, abs=0.3)


def test_area_under_roc_by_hand():
    assert area_under_roc([3.0, 1.0, 2.0, 2.0], np.array([True, False, True, False])) == (4 - 0.5) / 4
    assert area_under_roc([1.0, 1.0], np.array([True, False])) == 0.5


def test_tasks_show_the_first_half_of_their_classes(model):
    table = table_of(2)
    (episode, shown), *others = unknown_episodes(model, table, WAYS, 2, 5)
    assert not others and episode.support_x.shape == (5, WAYS, 2, DIM + 1)
    assert episode.query_x.shape == (5, 2 * WAYS, 15, DIM + 1) and shown.tolist() == [True] * 45 + [False] * 45
    (episode, shown), *_ = unknown_episodes(model, table, 7, 2, 5)
    assert episode.query_x.shape[1] == 9 and shown.sum() == 7 * 15
    with pytest.raises(InputError, match=r"arrays has 9 classes for a task; expected more than ways=9.*Lower ways"):
        unknown_auroc(model, table, ways=9)


def test_auroc_is_a_function_of_the_seed(model, monkeypatch):
    table = table_of(2)
    found = unknown_auroc(model, table, WAYS, 5, num_tasks=6)
    assert found.log_odds.mean > 0.9 and found.log_odds.mean > found.softmax.mean > 0.5
    monkeypatch.setattr("leo_tf.classification.tasks._FLOATS_AT_ONCE", 1)
    again = unknown_auroc(model, table, WAYS, 5, num_tasks=6)  # equal up to the rounding of scores that almost tie
    np.testing.assert_allclose(again, found, atol=1e-3)
    assert unknown_auroc(model, table, WAYS, 5, num_tasks=6, seed=1) != found
    without = unknown_auroc(LEO(LEOConfig(num_latents=4), DIM, seed=0), table, WAYS, num_tasks=3)
    assert without.log_odds is None and 0 < without.softmax.mean < 1


def test_calibration_is_fitted_by_shots(model):
    config = RunConfig(episodes=EpisodeConfig(num_classes=WAYS))
    found = fit_calibration(model, table_of(2), config)
    calibration = RunCalibration.from_record(found)
    assert calibration.shots == (1, 5, 20) and calibration.has_unknown
    assert found["after"]["negative_log_likelihood"]["mean"] < found["before"]["negative_log_likelihood"]["mean"]
    assert [(each["ways"], each["shots"]) for each in found["validation_tasks"]][:4] == [
        (3, 1),
        (3, 5),
        (3, 20),
        (9, 1),
    ]
    assert RunCalibration.from_record(calibration.record()) == calibration
    few = RunCalibration.from_record(fit_calibration(model, table_of(2, classes=3, rows=8), config))
    assert few.shots == (1,) and not few.has_unknown


def test_a_learner_with_fixed_ways_is_calibrated_on_tasks_of_its_shape():
    config = RunConfig(episodes=EpisodeConfig(num_classes=WAYS, num_tr_examples_per_class=2))
    found = fit_calibration(MAML(embedding_dim=DIM, ways=WAYS, seed=0), table_of(2), config)
    assert found["shots"] == [2] and len(found["temperatures"]) == 1 and not found["unknown_thresholds"]
