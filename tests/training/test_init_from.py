"""A run that is initialised from another: its weights, exact resume without the other, errors."""

import logging
import shutil
import signal

import numpy as np
import pytest

from leo_tf import InputError, LEOConfig, MAMLConfig, load
from leo_tf.config import EpisodeConfig, RegressionConfig, RunConfig, TrainingConfig
from leo_tf.runs import RunDirectory
from leo_tf.training import Interrupted, MetaTraining, Trainer
from leo_tf.training.warm_start import named_variables

pytestmark = pytest.mark.long

MODEL = {"inner_unroll_length": 1, "finetuning_unroll_length": 0, "num_latents": 4, "dropout_rate": 0.0}
SIZES = {
    **{"network_units": 5, "encoder_units": 6, "relation_units": 7, "decoder_units": 6, "weight_spread": 0.0},
    "noise_stddev": 0.0,  # no figures, which take long to find tasks for
}
MIXTURE = {"training_loss": "energy_score", "training_samples": 2, "code_components": 2}


def config(steps=4, init_from="", sizes=None, model=None, algorithm="leo", **training):
    training = {"metavalid_tasks": 4, "checkpoint_steps": 2, "log_steps": 2, "metatrain_batch_size": 2, **training}
    return RunConfig(
        model or LEOConfig(**{**MODEL, "inner_lr_init": 0.01}),
        episodes=EpisodeConfig(num_tr_examples_per_class=3, num_val_examples_per_class=4),
        training=TrainingConfig(num_steps_limit=steps, init_from=str(init_from), jit="off", **training),
        regression=RegressionConfig(**{**SIZES, **(sizes or {})}),
        problem="regression",
        algorithm=algorithm,
    )


def train(path, *arguments, hook=None, **settings):
    trainer = Trainer(MetaTraining(config(*arguments, **settings)), path, hook)
    trainer.run()
    return values(trainer.work.learner)


def values(learner):
    return {name: variable.numpy() for name, variable in named_variables(learner).items()}


def require_equal(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A run of 4 steps of a high rate, and its best weights."""
    path = tmp_path_factory.mktemp("first") / "run"
    train(path, seed=3, outer_lr=0.01)
    return path, values(load(path))


def started(path, *arguments, **settings):
    work = MetaTraining(config(*arguments, **settings))
    assert work.warm_start()
    return values(work.learner)


@pytest.mark.parametrize("distribution", ["none", "mirrored"])
def test_a_new_run_takes_over_the_best_weights(first, caplog, tmp_path, distribution):
    with caplog.at_level(logging.INFO, "leo_tf"):
        found = started(tmp_path, init_from=first[0], sizes={"code_spread": 0.5}, distribution=distribution)
    require_equal(found, first[1])
    step = RunDirectory(first[0]).best_step()
    assert [f"Initialised from step {step} of {first[0]}."] == caplog.messages


def test_variables_that_the_other_run_lacks_keep_their_initial_values(first, caplog, tmp_path):
    with caplog.at_level(logging.INFO, "leo_tf"):
        found = started(tmp_path, init_from=first[0], sizes=MIXTURE)
    name = "encoder/relation/further"
    np.testing.assert_array_equal(found.pop(name), values(MetaTraining(config(sizes=MIXTURE)).learner)[name])
    require_equal(found, first[1])
    assert caplog.messages[-1].endswith(f"{first[0]}; initial values are kept for {name}.")


def test_no_warm_start_without_init_from():
    assert not MetaTraining(config()).warm_start()


def test_training_starts_at_the_other_runs_weights(first, tmp_path):
    """A tiny learning rate leaves the weights where the other run's are."""
    found = train(tmp_path / "run", init_from=first[0], outer_lr=1e-9)
    for name, value in first[1].items():
        np.testing.assert_allclose(found[name], value, atol=1e-7, err_msg=name)
    assert RunDirectory(tmp_path / "run").config().training.init_from == str(first[0])


@pytest.mark.parametrize("stop_at", [0, 2])
def test_a_resumed_run_does_not_need_the_other(first, tmp_path, stop_at):
    other = tmp_path / "other"
    shutil.copytree(first[0], other)
    whole = train(tmp_path / "whole", init_from=other)

    def stop(step, _):
        if step == stop_at:
            raise Interrupted(signal.SIGTERM, step)

    with pytest.raises(Interrupted):
        train(tmp_path / "run", init_from=other, hook=stop, metavalid_at_start=True)
    shutil.rmtree(other)
    for start in ("", "nowhere"):
        copy = tmp_path / f"copy{start}"
        shutil.copytree(tmp_path / "run", copy)
        require_equal(train(copy, init_from=start, metavalid_at_start=True), whole)
        assert RunDirectory(copy).config().training.init_from == str(other)
        assert not RunDirectory(copy).changes_file.exists()


def test_a_run_killed_in_its_first_steps_resumes_at_step_0(first, tmp_path):
    """The state at step 0 is saved, before the first validation."""
    work = MetaTraining(config(init_from=first[0]))
    work.step = lambda count: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        Trainer(work, tmp_path / "run").run()
    assert RunDirectory(tmp_path / "run").latest_step() == 0
    require_equal(train(tmp_path / "run"), train(tmp_path / "whole", init_from=first[0]))


def test_a_shape_that_does_not_fit_is_an_error_and_claims_nothing(first, tmp_path):
    wanted = r"init_from='.*run' was given, a run whose decoder/\S+ has shape \[4, 6\]; expected \[4, 9\]\. Give"
    with pytest.raises(InputError, match=wanted):
        train(tmp_path / "run", init_from=first[0], sizes={"decoder_units": 9})
    assert not RunDirectory(tmp_path / "run").config_file.exists()
    train(tmp_path / "run", steps=2, init_from=first[0])


def test_other_algorithms_and_directories_without_a_run_are_errors(first, tmp_path):
    with pytest.raises(InputError, match=r"algorithm=leo; expected one with .*algorithm=maml\. Give another run"):
        maml = MAMLConfig(dropout_rate=0.0)
        train(tmp_path / "run", init_from=first[0], model=maml, algorithm="maml")
    with pytest.raises(InputError, match=r"init_from='.*none' was given, where there is no run; expected .*Correct"):
        train(tmp_path / "run", init_from=tmp_path / "none")
    empty = tmp_path / "empty"
    empty.mkdir()
    shutil.copy(first[0] / "config.json", empty)
    shutil.copy(first[0] / "data.json", empty)
    with pytest.raises(InputError, match=r"no best checkpoint yet"):
        train(tmp_path / "run", init_from=empty)
