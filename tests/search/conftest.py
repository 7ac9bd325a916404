"""Plan of a small search."""

import pytest

from leo_tf import RunConfig
from leo_tf.config import DataConfig, TrainingConfig
from leo_tf.search.plan import Plan, get_objective
from leo_tf.search.space import read_space

SPACE = """
[outer_lr]
low = 1e-4
high = 1e-2
scale = "log"
[num_latents]
low = 2
high = 9
[stochastic]
choices = [true, false]
"""


@pytest.fixture
def plan(tmp_path):
    """Plan with three searched settings."""
    base = RunConfig(
        data=DataConfig(dataset_name="glyphs"), training=TrainingConfig(num_steps_limit=300, checkpoint_steps=100)
    )
    (tmp_path / "space.toml").write_text(SPACE)
    return Plan(base, read_space(tmp_path / "space.toml", base), get_objective("classification"))
