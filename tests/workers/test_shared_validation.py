"""Validation of regression shared by two workers; test_two_workers.py has classification and pre-training."""

import pytest
from harness import rows_of

pytestmark = pytest.mark.long

REGRESSION = (
    *("--problem=regression", "--dropout_rate=0", "--inner_lr_init=0.01", "--outer_lr=1e-5", "--jit=off"),
    *("--network_units=4", "--encoder_units=4", "--relation_units=4", "--decoder_units=4", "--num_latents=2"),
    *("--inner_unroll_length=1", "--finetuning_unroll_length=1", "--metatrain_batch_size=2", "--num_steps_limit=2"),
    *("--checkpoint_steps=1", "--log_steps=1"),
)


def validations_of(path):
    """Return the rows of a run's validations, [{column: float}]."""
    rows = [{name: float(row[name]) for name in row if "validation_" in name and row[name]} for row in rows_of(path)]
    return [row for row in rows if row]


def test_validation_of_regression(runs, workers, tmp_path):
    """Nine tasks, at most four at once: several batches, of which the workers have unequal shares."""

    def train(path, *more, **how):
        flags = (f"--checkpoint_path={path}", *REGRESSION, "--metavalid_tasks=9", "--metavalid_batch_size=4")
        return runs.start("train.py", *flags, *more, **how)

    alone = train(tmp_path / "one")
    workers.finish(tmp_path / "two", train=train)
    assert alone.wait() == 0, alone.output
    found, expected = validations_of(tmp_path / "two"), validations_of(tmp_path / "one")
    assert len(found) == len(expected) == 2
    for one, other in zip(found, expected, strict=True):
        assert {"validation_mse", "validation_crps", "validation_coverage_90"} <= one.keys()
        assert one == pytest.approx(other, rel=1e-3, abs=1e-6)
