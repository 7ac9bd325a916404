"""A configuration as flags, and back: what a search and a reproduction start their trainings with."""

import dataclasses

import pytest
from absl import flags

from leo_tf.commands.flags import define_run_flags, flags_of, run_config
from leo_tf.config import RunConfig

RUNS = {
    "leo": {"outer_lr": 0.002, "stochastic": False, "seed": 3},
    "maml": {"maml_lr": 0.5},
    "metasgd": {"maml_lr": 37.5, "dropout_rate": 0.1, "num_classes": 3},
    "regression": {"problem": "regression", "network_units": 20, "l2_penalty_weight": 0.0},
    "regression, metasgd": {"problem": "regression", "algorithm": "metasgd", "maml_steps": 3},
}


@pytest.mark.parametrize("name", RUNS)
def test_flags_of_a_configuration_make_it_again(name):
    changes = dict(RUNS[name])
    algorithm = changes.pop("algorithm", name if name in ("maml", "metasgd") else "leo")
    problem = changes.pop("problem", "classification")
    config = dataclasses.replace(RunConfig(algorithm=algorithm), problem=problem).with_settings(changes)
    values = flags.FlagValues()
    define_run_flags(values)
    values(["train.py", *flags_of(config)])
    assert run_config(values) == config
