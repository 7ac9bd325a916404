"""A configuration as flags, and back: what a search starts its trainings with."""

from pathlib import Path

import pytest
from absl import flags

from leo_tf import InputError
from leo_tf.commands.flags import define_run_flags, flags_of, run_config
from leo_tf.commands.workers import cluster_of, define_worker_flags

CONFIGS = Path(__file__).parents[2] / "configs"
REGRESSION = f"--flagfile={CONFIGS / 'regression.cfg'}"
BEYOND = [f"--flagfile={CONFIGS / name}.cfg" for name in ("regression_wide", "regression_samples")]
RUNS = {
    "leo": ["--outer_lr=0.002", "--nostochastic", "--seed=3"],
    "proto_leo": ["--algorithm=proto_leo", "--within_class_shrinkage=0.3", "--latent_codes=true"],
    "maml": ["--algorithm=maml", "--maml_lr=0.5"],
    "metasgd": ["--algorithm=metasgd", "--maml_lr=37.5", "--dropout_rate=0.1", "--num_classes=3"],
    "regression": [REGRESSION, "--network_units=20"],
    "regression, beyond the paper": [REGRESSION, *BEYOND],
    "regression, metasgd": [REGRESSION, "--algorithm=metasgd", "--maml_steps=3"],
}


def parsed(given):
    values = flags.FlagValues()
    define_run_flags(values)
    flags.DEFINE_string("checkpoint_path", "", "train.py's own", flag_values=values)
    values(["train.py", *given])
    return run_config(values)


@pytest.mark.parametrize("name", RUNS)
def test_flags_of_a_configuration_reproduce_it(name):
    config = parsed(RUNS[name])
    assert parsed(flags_of(config)) == config


def cluster(given, monkeypatch, **environment):
    for name in ("TF_CONFIG", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    values = flags.FlagValues()
    define_run_flags(values)
    define_worker_flags(values)
    values(["train.py", *given])
    return cluster_of(values["distribution"].value, values)


def test_worker_addresses_are_not_part_of_the_run(monkeypatch):
    found = cluster(["--distribution=multi_worker", "--workers=a:1,b:2", "--worker_index=1"], monkeypatch)
    assert found == (("a:1", "b:2"), 1)
    assert not {"workers", "worker_index", "worker_timeout"} & parsed([]).flat().keys()


def test_a_single_worker_needs_no_cluster(monkeypatch):
    config = '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}'
    assert cluster(["--distribution=multi_worker"], monkeypatch, TF_CONFIG=config) is None
    assert cluster([], monkeypatch, TF_CONFIG="of somebody else") is None


@pytest.mark.parametrize("given", ["--workers=a:1,b:2", "--worker_index=0"])
def test_workers_without_multi_worker_are_refused(given, monkeypatch):
    name = given.removeprefix("--")
    with pytest.raises(InputError, match=f"{name} was given with distribution=auto; expected distribution=multi_w"):
        cluster([given], monkeypatch)


@pytest.mark.parametrize(("given", "value"), [("auto", "auto"), ("0.5", 0.5), ("2", 2.0)])
def test_a_setting_chosen_on_validation_tasks_takes_a_number_or_auto(given, value):
    config = parsed(["--algorithm=proto_leo", f"--fit_scale={given}"])
    assert config.proto_leo.fit_scale == value
    assert parsed(flags_of(config)) == config


def test_a_setting_that_takes_a_number_or_auto_refuses_other_texts():
    with pytest.raises(flags.IllegalFlagValueError, match="fit_scale=most: expected a number or auto"):
        parsed(["--algorithm=proto_leo", "--fit_scale=most"])
