"""Warm-up of ProtoLEO: it trains the per-dimension scales alone; LEO then trains from scratch."""

import functools
import itertools

import numpy as np
import pytest
import tensorflow as tf

from leo_tf import LEOConfig, ProtoLEO, ProtoLEOConfig, RunConfig, load
from leo_tf.config import DataConfig, TrainingConfig
from leo_tf.training import MetaTraining, Trainer

MODEL = LEOConfig(inner_unroll_length=1, finetuning_unroll_length=1, num_latents=4)
PROTO = ProtoLEOConfig(
    within_class_shrinkage=0.1, between_class_shrinkage=0.3, prototype_scale=10, support_temperature=2.0,
    query_dropout="all", warmup_steps=3,
)  # fmt: skip


def make_work(**changes):
    settings = {"metavalid_tasks": 4, "metavalid_queries": 5, "jit": "off", "metatrain_batch_size": 2} | changes
    config = RunConfig(
        MODEL, DataConfig(dataset_name="glyphs"), training=TrainingConfig(**settings), proto_leo=PROTO,
        algorithm="proto_leo",
    )  # fmt: skip
    return MetaTraining(config)


def values(work):
    return [variable.numpy() for part in work.state.values() for variable in part.variables]


def test_training_starts_from_scratch_after_warmup():
    work = make_work()
    work.initialize()
    start = [variable.numpy() for variable in work.learner.meta_variables]
    work.step(3)
    scales = work.learner.dimension_log_scales.numpy()
    assert np.all(np.abs(scales[np.abs(scales) > 0]) < 1e-3)
    assert np.count_nonzero(scales) > 100
    for old, variable in zip(start, work.learner.meta_variables, strict=True):
        np.testing.assert_array_equal(variable.numpy(), old)
    work.step(1)
    assert not np.any(work.learner.dimension_log_scales.numpy())
    assert work.steps_taken == 4
    assert work.optimizer.iterations == 1
    moved = [np.any(v.numpy() != old) for old, v in zip(start, work.learner.meta_variables, strict=True)]
    assert moved.count(True) >= len(moved) - 4  # a decoder of zeros gives encoder and latent rate no gradient yet


@pytest.mark.long
def test_calls_of_any_length_give_the_same_state():
    whole, parts = make_work(), make_work()
    whole.step(3)
    metrics = whole.step(2)
    found = [parts.step(count) for count in (2, 1, 1, 1)]
    for one, other in zip(values(whole), values(parts), strict=True):
        np.testing.assert_array_equal(one, other)
    assert metrics["loss"] == pytest.approx((found[2]["loss"] + found[3]["loss"]) / 2, rel=1e-6)
    assert metrics["gradient_norms"].shape == (len(whole.variables),)


@pytest.mark.parametrize("stop", [pytest.param(2, marks=pytest.mark.long), 3, pytest.param(4, marks=pytest.mark.long)])
def test_a_run_stopped_around_the_end_of_warmup_resumes_bit_identically(tmp_path, stop):
    def train(name, limit):
        work = make_work(num_steps_limit=limit, checkpoint_steps=1, log_steps=1)
        Trainer(work, tmp_path / name).run()
        return values(work)

    train("parts", stop)
    for one, other in zip(train("parts", 5), train("whole", 5), strict=True):
        np.testing.assert_array_equal(one, other)


class ScoredWork:
    """Work whose validations have given accuracies."""

    def __init__(self, work, accuracies):
        self._work, self._accuracies = work, iter(accuracies)

    def __getattr__(self, name):
        return getattr(self._work, name)

    def initialize(self, previous=None):
        found = self._work.initialize(previous)
        self.validate = functools.partial(self._validate, self._work.validate)
        return found

    def _validate(self, validate):
        found, value = validate(), next(self._accuracies)
        scores = np.full_like(found.scores, value)
        return found._replace(interval=found.interval._replace(mean=value), scores=scores)


def test_warmup_ends_with_a_validation_and_does_not_count_toward_patience(tmp_path):
    seen = []
    work = ScoredWork(make_work(num_steps_limit=40, checkpoint_steps=2, log_steps=5, patience=2), itertools.repeat(0.2))
    Trainer(work, tmp_path / "run", lambda step, validation: seen.append(step)).run()
    assert seen == [2, 3, 4, 6, 8]  # warm-up ends at 3; 8 is the first that comes 2 * 2 steps or more after it


@pytest.mark.long
def test_scales_start_at_zero_in_a_run_that_is_initialised_from_another(tmp_path):
    other = make_work(num_steps_limit=2, checkpoint_steps=1)
    Trainer(ScoredWork(other, [0.1, 0.2]), tmp_path / "other").run()
    assert np.any(load(tmp_path / "other").dimension_log_scales.numpy())
    work = make_work(init_from=str(tmp_path / "other"), seed=1)
    assert work.warm_start()
    assert not np.any(work.learner.dimension_log_scales.numpy())
    np.testing.assert_array_equal(work.learner.decoder.kernel.numpy(), other.learner.decoder.kernel.numpy())


def test_no_warmup_without_validation_tasks():
    work = make_work(metavalid_tasks=0)
    assert work.warmup_steps == 0
    work.step(1)
    assert work.optimizer.iterations == 1 and "warmup_optimizer" not in work.state


def test_keras_fit_takes_no_warmup_steps():
    model = ProtoLEO(LEOConfig(num_latents=2), PROTO, 4, seed=0)
    model.compile()
    support, labels = np.ones([2, 3, 1, 4], np.float32), np.broadcast_to(np.arange(3)[:, np.newaxis], [2, 3, 1])
    support = support + np.random.default_rng(0).normal(size=support.shape).astype(np.float32)
    model.fit(tf.data.Dataset.from_tensors((support, labels, support, labels)), verbose=0)
    assert model.optimizer.iterations == 1
    assert not np.any(model.dimension_log_scales.numpy())
