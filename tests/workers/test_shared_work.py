"""Validation, evaluation and extraction shared by two workers: the numbers of one process, and one end for all."""

import pytest
from harness import rows_of

SMALL = {"inner_unroll_length": 1, "finetuning_unroll_length": 1, "num_latents": 2}
NETWORK = {"network_units": 4, "encoder_units": 4, "relation_units": 4, "decoder_units": 4}


def flags_of(settings):
    return [f"--{name}={value}" for name, value in settings.items()]


REGRESSION = (
    *flags_of({**SMALL, **NETWORK, "problem": "regression", "dropout_rate": 0, "inner_lr_init": 0.01, "jit": "off"}),
    *("--metatrain_batch_size=2", "--num_steps_limit=2", "--checkpoint_steps=1", "--log_steps=1", "--outer_lr=1e-5"),
)


def validations_of(path):
    """Return what a run's validations found, [{column: float}]."""
    rows = [{name: float(row[name]) for name in row if "validation_" in name and row[name]} for row in rows_of(path)]
    return [row for row in rows if row]


def require_near(found, expected):
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, rel=1e-3, abs=1e-6)


def test_validation_of_regression(runs, workers, tmp_path):
    """Nine tasks, four at once: more batches than one, of which the workers have unequal shares."""

    def train(path, *more, **how):
        flags = (f"--checkpoint_path={path}", *REGRESSION, "--metavalid_tasks=9", "--metavalid_batch_size=4")
        return runs.start("train.py", *flags, *more, **how)

    alone = train(tmp_path / "one")
    workers.finish(tmp_path / "two", train=train)
    assert alone.wait() == 0, alone.said
    expected = validations_of(tmp_path / "one")
    assert len(expected) == 2 and "validation_mse" in expected[0] and "validation_coverage_90" in expected[0]
    require_near(validations_of(tmp_path / "two"), expected)
