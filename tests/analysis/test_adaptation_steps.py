"""Scores after each adaptation step, against evaluations and against a model without the steps."""

import itertools

import numpy as np
import pytest

from leo_tf import LEO, LEOConfig, MAMLConfig
from leo_tf.analysis.adaptation import measure_adaptation, with_steps
from leo_tf.classification.analysis_target import ClassificationTarget
from leo_tf.classification.evaluation import evaluate_tasks
from leo_tf.classification.maml import MetaSGD
from leo_tf.classification.tasks import draw_tasks


@pytest.fixture(scope="module")
def model():
    config = LEOConfig(inner_unroll_length=2, finetuning_unroll_length=1, num_latents=4, finetuning_lr_init=0.5)
    return LEO(config, 8, seed=1)


def test_without_steps_the_classifier_is_decoded_from_the_encoders_means(model, make_episode):
    episode = make_episode(dtype="float32")
    classifier = with_steps(model, 0, 0).adapt(episode.support_x, episode.support_y)
    latents = model.encode(episode.support_x).mean()
    np.testing.assert_allclose(classifier, model.decode(latents).mean(), rtol=1e-6)


def test_scores_after_each_step(model, table):
    tasks = draw_tasks(table, 3, 2, None, 12)
    found = measure_adaptation(ClassificationTarget(model, table, tasks))
    assert found.steps == [(0, 0), (1, 0), (2, 0), (2, 1)]
    assert set(found.learning_rates) == {"latent_learning_rate", "finetuning_learning_rate"}
    whole = evaluate_tasks(model, table, tasks, batch_size=5)
    np.testing.assert_allclose(found.scores["accuracy"][-1], whole.task_accuracy, rtol=1e-5)
    np.testing.assert_allclose(found.scores["loss"][-1], whole.task_loss, rtol=1e-5)
    for before, after in itertools.pairwise(found.scores["loss"].mean(axis=1)):
        assert after < before  # this model's steps go downhill
    entropy = found.scores["entropy"].mean(axis=1)
    assert (entropy > 0).all() and (entropy < np.log(3)).all() and entropy[-1] < entropy[0]
    steps = found.summary()["steps"]
    assert steps[-1]["accuracy"] == pytest.approx(whole.accuracy._asdict(), rel=1e-5)
    assert steps[0]["gain"]["accuracy"] == {"mean": 0.0, "half_width": 0.0}
    for step in steps:
        gain = step["accuracy"]["mean"] - steps[0]["accuracy"]["mean"]
        assert step["gain"]["accuracy"]["mean"] == pytest.approx(gain, abs=1e-6)


def test_other_numbers_of_steps_than_the_models_own(model, table):
    tasks = draw_tasks(table, 3, 1, 5, 2)
    found = measure_adaptation(ClassificationTarget(with_steps(model, 1, 2), table, tasks))
    assert found.steps == [(0, 0), (1, 0), (1, 1), (1, 2)]


def test_meta_sgd_has_no_latent_steps(table):
    model = MetaSGD(MAMLConfig(maml_steps=2), 8, 3)
    found = measure_adaptation(ClassificationTarget(model, table, draw_tasks(table, 3, 1, 5, 4)))
    assert found.steps == [(0, 0), (0, 1), (0, 2)] and list(found.learning_rates) == ["learning_rate"]
