"""Recalibrated samples: the mean stays, the fitted factor calibrates, and it is fitted on validation tasks only."""

import numpy as np
import pytest

from leo_tf import LEOConfig, randomness
from leo_tf.config import RegressionConfig
from leo_tf.regression.leo import RegressionLEO
from leo_tf.regression.metrics import coverage, crps
from leo_tf.regression.recalibration import evaluate_spread, fit_spread, stretch
from leo_tf.regression.sampling import FunctionSampler
from leo_tf.regression.tasks import draw_tasks


def test_stretching_keeps_the_mean():
    samples = np.random.default_rng(0).normal(size=(5, 2, 3))
    found = stretch(samples, 3.0)
    np.testing.assert_allclose(found.mean(axis=0), samples.mean(axis=0))
    np.testing.assert_allclose(found.std(axis=0), 3 * samples.std(axis=0))
    np.testing.assert_array_equal(stretch(samples, 0.0), np.tile(samples.mean(axis=0), (5, 1, 1)))


@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
def test_fitted_factor_calibrates_the_samples(factor):
    rng = np.random.default_rng(1)
    truth, samples = rng.normal(size=(300, 50)), rng.normal(size=(100, 300, 50)) / factor
    found = fit_spread(samples, truth)
    assert found == pytest.approx(factor, rel=0.05)
    assert coverage(stretch(samples, found), truth, [0.9]).mean() == pytest.approx(0.9, abs=0.02)


@pytest.mark.long
def test_factor_is_fitted_on_validation_tasks_and_scored_on_others():
    model = RegressionLEO(
        LEOConfig(num_latents=2, inner_unroll_length=1, finetuning_unroll_length=0, inner_lr_init=0.01),
        RegressionConfig(network_units=4, encoder_units=4, relation_units=4, decoder_units=4),
        seed=0,
    )
    validation, tasks = draw_tasks(12, 0, randomness.VALIDATION), draw_tasks(8, 0)
    sampler = FunctionSampler(model, 4, jit=False)
    found = evaluate_spread(sampler, validation, tasks, 5, num_samples=20)
    factor = fit_spread(sampler.functions(*validation.support(5), 20), validation.truth)
    samples = stretch(sampler.functions(*tasks.support(5), 20), factor)
    assert found.factor == factor and (found.fitted_on, found.shots) == (12, 5)
    assert found.crps.mean == pytest.approx(crps(samples, tasks.truth).mean())
    assert found.coverage[0.9].mean == pytest.approx(coverage(samples, tasks.truth, [0.9]).mean())
    assert f"spread times {factor:.2f} (chosen on 12 validation tasks), 5 shot: crps" in str(found)
    assert found.summary()["coverage"]["0.9"]["mean"] == found.coverage[0.9].mean
