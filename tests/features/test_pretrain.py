"""Pre-training with the Trainer: it learns, resumes exactly, and gives equal results on one device and on two."""

import csv
import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import leo_tf
from leo_tf import InputError
from leo_tf.features.pretrain.step import learning_rate
from leo_tf.features.pretrain.work import Pretraining
from leo_tf.features.settings import FeatureTrainingConfig, ImageConfig, NetworkConfig, PretrainConfig
from leo_tf.runs.checkpoint_files import newest_whole
from leo_tf.runs.run_dir import RunDirectory

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def config(split_folder, tmp_path_factory):
    """A function that makes a small configuration."""
    cache = str(tmp_path_factory.mktemp("cache"))

    def make(dropout_rate=0.2, **training):
        plain = {
            **{"batch_size": 8, "num_steps_limit": 8, "checkpoint_steps": 4, "log_steps": 2, "heldout_fraction": 0.2},
            **{"eval_ways": 3, "eval_tasks": 4, "learning_rate": 0.02, "augmentation": "drawing"},
        }
        return PretrainConfig(
            ImageConfig(images=str(split_folder), image_size=12, cache_dir=cache),
            NetworkConfig(depth=10, width=1, dropout_rate=dropout_rate),
            FeatureTrainingConfig(**(plain | training)),
        )

    return make


def weights(path):
    reader = tf.train.load_checkpoint(str(newest_whole(path / "latest")))
    names = [name for name in reader.get_variable_to_shape_map() if name != "_CHECKPOINTABLE_OBJECT_GRAPH"]
    return {name: reader.get_tensor(name) for name in names if "save_counter" not in name}


@pytest.mark.long
def test_stopped_run_resumes_exactly(config, tmp_path):
    def stop(step, validation):
        if step == 4:
            raise KeyboardInterrupt

    made = config(class_copies="rotations", learning_rate_schedule="cosine")
    assert leo_tf.Trainer(Pretraining(made), tmp_path / "whole").run() == 8
    with pytest.raises(KeyboardInterrupt):
        leo_tf.Trainer(Pretraining(made), tmp_path / "stopped", stop).run()
    assert leo_tf.Trainer(Pretraining(made), tmp_path / "stopped").run() == 4
    expected, got = weights(tmp_path / "whole"), weights(tmp_path / "stopped")
    assert expected.keys() == got.keys() and len(got) > 40
    for name, value in expected.items():
        np.testing.assert_array_equal(got[name], value, err_msg=name)
    with open(tmp_path / "whole" / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["2", "4", "4", "6", "8", "8"]
    assert float(rows[2]["validation_accuracy"]) >= 0 and float(rows[2]["validation_one_shot_accuracy"]) > 0.3
    record = json.loads((tmp_path / "whole" / "data.json").read_text())
    assert record["classes"] == [f"c{n:02}" for n in range(6)] and record["num_classes"] == 24


@pytest.mark.long
def test_two_replicas_take_the_step_of_one(config):
    """To rounding: batch normalisation is over the whole batch; dropout and augmentation depend on the example."""
    runs = []
    for distribution in ("none", "mirrored"):
        work = Pretraining(config(distribution=distribution, rotation_loss_weight=0.5))
        runs.append(([work.step(3)["loss"]], [variable.numpy() for variable in work.variables.values()]))
    assert runs[0][0] == pytest.approx(runs[1][0], rel=1e-4)
    for one, two in zip(runs[0][1], runs[1][1], strict=True):
        np.testing.assert_allclose(one, two, atol=2e-4)


@pytest.mark.long
def test_it_learns(config):
    work = Pretraining(config(dropout_rate=0.0, augmentation="none", num_steps_limit=60, learning_rate=0.05))
    before = work.validate().interval.mean
    first = work.step(5)["loss"]
    for _ in range(7):
        last = work.step(5)
    validation = work.validate()
    assert last["loss"] < 0.3 * first and validation.interval.mean > max(0.8, before)
    assert validation.others["one_shot_accuracy"] > 0.6


@pytest.mark.long
def test_best_checkpoint_by_one_shot_accuracy(config):
    work = Pretraining(config(monitor="one_shot", heldout_fraction=0.0))
    assert work.measured.measure == "one_shot_accuracy" and work.measured.other_measures == ("five_shot_accuracy",)
    assert work.validate().interval.mean > 0
    both = Pretraining(config(monitor="one_shot"))
    assert "accuracy" in both.measured.other_measures and "accuracy" in both.validate().others


@pytest.mark.long
def test_nan_step_changes_nothing(config):
    work = Pretraining(config(dropout_rate=0.0))
    work.step(1)
    before = [variable.numpy() for variable in work.variables.values()]
    images, labels, first = next(iter(work.batches.dataset(1)))
    work._steps.run(images * np.nan, labels, first)
    moved = [np.abs(variable.numpy() - b).max() for variable, b in zip(work.variables.values(), before, strict=True)]
    assert np.isfinite(moved).all()


@pytest.mark.long
def test_mixed_precision_and_jit(config):
    work = Pretraining(config(precision="mixed_bfloat16"))
    assert np.isfinite(work.step(1)["loss"]) and work.model.get_layer("stem").compute_dtype == "bfloat16"
    assert all(variable.dtype == "float32" for variable in work.variables.values())
    with pytest.raises(InputError, match="jit=True was given with 2 replicas"):
        Pretraining(config(jit=True, distribution="mirrored"))
    assert np.isfinite(Pretraining(config(jit=True, dropout_rate=0.0)).step(1)["loss"])


def test_learning_rates():
    step = learning_rate(FeatureTrainingConfig(num_steps_limit=100, learning_rate=1.0, warmup_steps=4))
    assert [round(float(step(i)), 5) for i in (0, 3, 10, 31, 61, 81)] == [0.25, 1.0, 1.0, 0.2, 0.04, 0.008]
    cosine = FeatureTrainingConfig(num_steps_limit=100, learning_rate=1.0, learning_rate_schedule="cosine")
    assert [round(float(learning_rate(cosine)(i)), 3) for i in (0, 50, 100)] == [1.0, 0.5, 0.0]
    warm = learning_rate(dataclasses.replace(cosine, warmup_steps=10))
    assert [round(float(warm(i)), 3) for i in (5, 10, 55, 100)] == [0.5, 1.0, 0.5, 0.0]
    constant = FeatureTrainingConfig(learning_rate_schedule="constant", learning_rate=0.3)
    assert float(learning_rate(constant)(77)) == pytest.approx(0.3)


def test_configuration_json_round_trip_and_differences(config):
    made = config()
    assert PretrainConfig.from_json(made.to_json()) == made
    other = dataclasses.replace(made, network=NetworkConfig(depth=16, width=1))
    assert made.differences(other) == ["network.depth: 10 != 16", "network.dropout_rate: 0.2 != 0.5"]
    moved = dataclasses.replace(made, images=dataclasses.replace(made.images, images="elsewhere"))
    assert made.differences(moved) == [] and list(made.changes(moved)) == ["images"]
    with pytest.raises(InputError, match="not that of a pre-training run"):
        PretrainConfig.from_json("{}")
    with pytest.raises(InputError, match="monitor=heldout"):
        FeatureTrainingConfig(heldout_fraction=0.0)


def test_pretraining_run_is_refused_as_a_leo_run(config, tmp_path):
    made = config()
    RunDirectory(tmp_path, PretrainConfig).claim(made, {})
    with pytest.raises(InputError, match=r"leo_tf\.features\.pretrain"):
        leo_tf.load(tmp_path)


def test_missing_images_and_splits_are_refused(config, tmp_path):
    made = config()
    for images, message in {"": "images is empty", str(tmp_path): "has no folders of images"}.items():
        with pytest.raises(InputError, match=message):
            Pretraining(dataclasses.replace(made, images=dataclasses.replace(made.images, images=images)))
    alone = dataclasses.replace(made.images, images=str(Path(made.images.images) / "train"), split_fractions="1,0,0")
    with pytest.raises(InputError, match="monitor=one_shot needs one"):
        Pretraining(
            dataclasses.replace(made, images=alone, training=dataclasses.replace(made.training, monitor="one_shot"))
        )
    with pytest.raises(InputError, match="Lower the number of ways"):
        Pretraining(config(eval_ways=4))


def test_command_line(tmp_path):
    def run(*flags):
        command = [sys.executable, "-m", "leo_tf.features.pretrain", *flags]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)

    shown = run("--help")
    assert shown.returncode == 0 and "--class_copies=none|rotations|rotations_and_mirrored" in shown.stdout
    done = run("--depth=11", f"--checkpoint_path={tmp_path}")
    assert done.returncode == 2 and done.stderr.startswith("Error: depth=11 was given; expected 6n + 4")
    assert done.stderr.endswith("Flags: --depth\n")
