"""What learns alone in the first steps: set back after them, wherever calls and interruptions fall."""

import functools
import itertools

import numpy as np
import pytest
import tensorflow as tf

from leo_tf import LEO, LEOConfig, RunConfig, load
from leo_tf.config import DataConfig, TrainingConfig
from leo_tf.errors import InputError
from leo_tf.training import MetaTraining, Trainer

MODEL = LEOConfig(
    inner_unroll_length=1, finetuning_unroll_length=1, num_latents=4, feature_transform="plda",
    within_class_shrinkage=0.1, prototype_residual=True, prototype_bias=0.75, support_temperature=2.0,
    decoder_init="zero", warmup_steps=3,
)  # fmt: skip


def make_work(**changes):
    settings = {"metavalid_tasks": 4, "metavalid_queries": 5, "jit": "off", "metatrain_batch_size": 2} | changes
    return MetaTraining(RunConfig(MODEL, DataConfig(dataset_name="glyphs"), training=TrainingConfig(**settings)))


def values(work):
    return [variable.numpy() for part in work.state.values() for variable in part.variables]


def test_after_the_first_steps_training_begins_anew():
    work = make_work()
    start = [variable.numpy() for variable in work.learner.meta_variables]
    work.step(3)
    scales = work.learner.dimension_log_scales.numpy()
    assert np.all(np.abs(scales[np.abs(scales) > 0]) < 1e-3)
    assert np.count_nonzero(scales) > 100
    others = start[:-1]
    for old, variable in zip(others, work.learner.meta_variables, strict=False):
        np.testing.assert_array_equal(variable.numpy(), old)
    work.step(1)
    assert not np.any(work.learner.dimension_log_scales.numpy())
    assert work.steps_taken == 4
    assert work.optimizer.iterations == 1
    moved = [np.any(v.numpy() != old) for old, v in zip(others, work.learner.meta_variables, strict=False)]
    assert moved.count(True) >= len(moved) - 4  # a decoder of zeros gives encoder and latent rate no gradient yet


def test_calls_of_any_length_give_the_same():
    whole, parts = make_work(), make_work()
    metrics = whole.step(5)
    found = [parts.step(count) for count in (2, 1, 2)]
    for one, other in zip(values(whole), values(parts), strict=True):
        np.testing.assert_array_equal(one, other)
    loss = sum(count * part["loss"] for count, part in zip((2, 1, 2), found, strict=True)) / 5
    assert metrics["loss"] == pytest.approx(loss, rel=1e-6)
    assert metrics["gradient_norms"].shape == (len(whole.learner.meta_variables),)


@pytest.mark.parametrize("stop", [2, 3, 4])
def test_a_run_that_stops_around_their_end_goes_on_bit_for_bit(tmp_path, stop):
    def train(name, limit):
        work = make_work(num_steps_limit=limit, checkpoint_steps=1, log_steps=1)
        Trainer(work, tmp_path / name).run()
        return values(work)

    train("parts", stop)
    for one, other in zip(train("parts", 5), train("whole", 5), strict=True):
        np.testing.assert_array_equal(one, other)


def test_they_end_with_a_validation_and_do_not_count_for_patience(tmp_path):
    seen = []
    work = make_work(num_steps_limit=40, checkpoint_steps=2, log_steps=5, patience=2)
    work.validate = functools.partial(as_good_as, work.validate, itertools.repeat(0.2))
    Trainer(work, tmp_path / "run", lambda step, validation: seen.append(step)).run()
    assert seen == [2, 3, 4, 6, 8]  # the first steps end at 3; 8 is the first that comes 2 * 2 steps or more after them


def as_good_as(validate, values):
    found, value = validate(), next(values)
    return found._replace(interval=found.interval._replace(mean=value), scores=np.full_like(found.scores, value))


def test_a_run_that_starts_from_another_learns_its_scales_from_zero(tmp_path):
    other = make_work(num_steps_limit=2, checkpoint_steps=1)
    other.validate = functools.partial(as_good_as, other.validate, iter([0.1, 0.2]))
    Trainer(other, tmp_path / "other").run()
    assert np.any(load(tmp_path / "other").dimension_log_scales.numpy())
    work = make_work(init_from=str(tmp_path / "other"), seed=1)
    assert work.start()
    assert not np.any(work.learner.dimension_log_scales.numpy())
    np.testing.assert_array_equal(work.learner.decoder.kernel.numpy(), other.learner.decoder.kernel.numpy())


def test_they_need_validation_tasks():
    with pytest.raises(InputError, match=r"warmup_steps=3 was given; expected 0 with metavalid_tasks=0"):
        make_work(metavalid_tasks=0)


def test_keras_fit_refuses_them():
    model = LEO(LEOConfig(prototype_residual=True, warmup_steps=3, num_latents=2), 4, seed=0)
    model.compile()
    support, labels = np.zeros([2, 3, 1, 4], np.float32), np.broadcast_to(np.arange(3)[:, np.newaxis], [2, 3, 1])
    episodes = tf.data.Dataset.from_tensors((support, labels, support, labels))
    with pytest.raises(InputError, match="fit got a LEO with 3 first steps in which scales alone learn"):
        model.fit(episodes, verbose=0)
