"""A configuration as flags, and back: what a search starts its trainings with."""

from pathlib import Path

import pytest
from absl import flags

from leo_tf.commands.flags import define_run_flags, flags_of, run_config

REGRESSION = f"--flagfile={Path(__file__).parents[2] / 'configs' / 'regression.cfg'}"
RUNS = {
    "leo": ["--outer_lr=0.002", "--nostochastic", "--seed=3"],
    "maml": ["--algorithm=maml", "--maml_lr=0.5"],
    "metasgd": ["--algorithm=metasgd", "--maml_lr=37.5", "--dropout_rate=0.1", "--num_classes=3"],
    "regression": [REGRESSION, "--network_units=20"],
    "regression, metasgd": [REGRESSION, "--algorithm=metasgd", "--maml_steps=3"],
}


def parsed(given):
    values = flags.FlagValues()
    define_run_flags(values)
    flags.DEFINE_string("checkpoint_path", "", "train.py's own", flag_values=values)
    values(["train.py", *given])
    return run_config(values)


@pytest.mark.parametrize("name", RUNS)
def test_flags_of_a_configuration_make_it_again(name):
    config = parsed(RUNS[name])
    assert parsed(flags_of(config)) == config
