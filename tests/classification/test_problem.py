"""Classification as a problem to train on: its validation tasks."""

import pytest

from leo_tf import LEOConfig, RunConfig
from leo_tf.classification.problem import Classification
from leo_tf.config import DataConfig, TrainingConfig


def nearest_mean_in_validation(**training):
    """Return a number that tells sets of validation tasks apart, whatever the weights."""
    training = TrainingConfig(metavalid_tasks=5, metavalid_queries=3, jit="off", **training)
    config = RunConfig(LEOConfig(0, 0, num_latents=2), DataConfig(dataset_name="glyphs"), training=training)
    problem = Classification(config)
    learner = problem.build_learner(problem.data_record, seed=0)
    return problem.make_validator(learner)().baselines["nearest class mean"]


@pytest.mark.long
def test_runs_of_different_seeds_share_validation_tasks_where_told_to():
    own = [nearest_mean_in_validation(seed=seed) for seed in (1, 2)]
    shared = [nearest_mean_in_validation(seed=seed, metavalid_seed=1) for seed in (1, 2)]
    assert own[0] != own[1]
    assert shared == [own[0]] * 2
