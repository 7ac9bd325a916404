"""Corrupt, lost and incomplete files of a run: training resumes, or one message says what is wrong."""

import csv
import errno
import fcntl
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import leo_tf
from leo_tf import InputError
from leo_tf.config import DataConfig, EpisodeConfig, LEOConfig, RunConfig, TrainingConfig
from leo_tf.runs.checkpoint_files import checkpoints_in, is_whole, newest_whole, remove, step_of
from leo_tf.runs.results import require_other_seeds
from leo_tf.runs.run_dir import RunDirectory
from leo_tf.training.monitoring import Monitor

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path, generator = tmp_path_factory.mktemp("data"), np.random.default_rng(3)
    (path / "own").mkdir()
    for split in ("train", "val"):
        rows = generator.normal(size=(5, 1, 6)) + 0.7 * generator.normal(size=(5, 8, 6))
        labels = np.repeat([f"{split}{c}" for c in range(5)], 8)
        np.savez(path / "own" / f"{split}.npz", embeddings=rows.reshape(-1, 6), labels=labels)
    return path


def trainer(data, path, steps=8, **training):
    config = RunConfig(
        LEOConfig(1, 1, num_latents=2, dropout_rate=0.0),
        DataConfig(data_path=str(data), dataset_name="own", cache_dir=str(data / "cache")),
        EpisodeConfig(num_classes=3, num_val_examples_per_class=3),
        TrainingConfig(
            metatrain_batch_size=2,
            metavalid_tasks=10,
            checkpoint_steps=2,
            log_steps=2,
            jit="off",
            outer_lr=0.01,
            num_steps_limit=steps,
            **training,
        ),
    )
    return leo_tf.Trainer(leo_tf.MetaTraining(config), path)


def weights(run):
    return [variable.numpy() for variable in run.work.learner.meta_variables]


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """(folder, weights) of a run of 8 steps."""
    path = tmp_path_factory.mktemp("whole") / "run"
    run = trainer(data, path)
    run.run()
    return path, weights(run)


@pytest.fixture
def run(whole, tmp_path):
    """A copy of it, to damage."""
    shutil.copytree(whole[0], tmp_path / "run")
    return RunDirectory(tmp_path / "run")


def truncate(prefix, ending=".data-00000-of-00001", size=40):
    file = prefix.with_name(prefix.name + ending)
    file.write_bytes(file.read_bytes()[:size])


def flip(prefix):
    file = prefix.with_name(prefix.name + ".data-00000-of-00001")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 255
    file.write_bytes(content)


DAMAGE = {
    "truncated data": truncate,
    "flipped byte": flip,
    "empty index": lambda prefix: truncate(prefix, ".index", 0),
    "lost index": lambda prefix: prefix.with_name(prefix.name + ".index").unlink(),
    "lost data": lambda prefix: prefix.with_name(prefix.name + ".data-00000-of-00001").unlink(),
}


def test_two_checkpoints_are_kept_and_none_needs_tensorflows_state_file(run):
    assert [step_of(prefix) for prefix in checkpoints_in(run.latest)] == [8, 6]
    assert not (run.latest / "checkpoint").exists()
    assert all(map(is_whole, checkpoints_in(run.latest) + checkpoints_in(run.best)))


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_corrupt_latest_falls_back_to_the_previous_one(data, whole, run, damage, caplog):
    DAMAGE[damage](run.latest / "ckpt-8")
    for prefix in checkpoints_in(run.best):  # which may be of the same step
        if step_of(prefix) == 8:
            DAMAGE[damage](prefix)
    assert not is_whole(run.latest / "ckpt-8")
    again = trainer(data, run.path)
    with caplog.at_level("WARNING", "leo_tf"):
        assert again.run() == 2
    assert "latest/ckpt-8 is corrupt; the run resumes from" in caplog.text
    for ours, expected in zip(weights(again), whole[1], strict=True):
        np.testing.assert_array_equal(ours, expected)
    leo_tf.load(run.path)


def test_with_all_checkpoints_corrupt_training_is_an_error_and_changes_nothing(data, run):
    for prefix in checkpoints_in(run.latest) + checkpoints_in(run.best):
        truncate(prefix)
    before = run.metrics_file.read_bytes()
    with pytest.raises(InputError, match=r"All checkpoints in .*latest and .*best are corrupt"):
        trainer(data, run.path, 12).run()
    assert run.metrics_file.read_bytes() == before
    with pytest.raises(InputError, match=r"is corrupt, and there is no other"):
        leo_tf.load(run.path)


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("folder", ["latest", "best"])
def test_a_run_killed_in_its_first_save_starts_from_scratch(data, whole, run, folder, damage, caplog):
    only, *others = checkpoints_in(getattr(run, folder))
    for prefix in (*others, *checkpoints_in(run.best if folder == "latest" else run.latest)):
        remove(prefix)
    DAMAGE[damage](only)
    again = trainer(data, run.path)
    with caplog.at_level("WARNING", "leo_tf"):
        assert again.run() == again.checkpoints.step
    assert f"The only checkpoint, {only}, is corrupt; the run starts from scratch." in caplog.text
    for ours, expected in zip(weights(again), whole[1], strict=True):
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("first", [False, True], ids=["after steps", "before the first step"])
def test_a_run_killed_between_its_first_best_and_the_row_for_it_has_the_row(data, tmp_path, monkeypatch, first):
    def killed(*_):
        raise SystemExit("killed")

    trainer(data, tmp_path / "whole", metavalid_at_start=first).run()
    with monkeypatch.context() as struck, pytest.raises(SystemExit):
        struck.setattr(Monitor, "validation", killed)
        trainer(data, tmp_path / "run", metavalid_at_start=first).run()
    assert checkpoints_in(tmp_path / "run" / "best") and not checkpoints_in(tmp_path / "run" / "latest")
    trainer(data, tmp_path / "run", metavalid_at_start=first).run()
    rows = []
    for name in ("whole", "run"):
        with open(tmp_path / name / "metrics.csv", newline="", encoding="utf-8") as file:
            rows.append([{**row, "steps_per_second": None} for row in csv.DictReader(file)])
    assert rows[0] == rows[1]


def test_checkpoints_that_a_killed_save_left_are_removed(data, whole, run):
    """Also in a run that is complete."""
    trainer(data, run.path).run()
    for folder in (run.latest, run.best):
        newest = checkpoints_in(folder)[0]
        for step in (0, 1):
            for file in folder.glob(f"{newest.name}.*"):
                shutil.copy(file, folder / file.name.replace(newest.name, f"ckpt-{step}"))
    again = trainer(data, run.path)
    assert again.run() == 0
    for folder in (run.latest, run.best):
        kept = [step_of(prefix) for prefix in checkpoints_in(folder)]
        assert len(kept) == 2 and kept[0] > 1 and kept[-1] != 0


def test_without_latest_the_run_resumes_from_the_best(data, whole, run, caplog):
    shutil.rmtree(run.latest)
    step = run.best_step()
    again = trainer(data, run.path)
    with caplog.at_level("WARNING", "leo_tf"):
        assert again.run() == 8 - step
    assert "latest has no checkpoint; the run resumes from" in caplog.text
    for ours, expected in zip(weights(again), whole[1], strict=True):
        np.testing.assert_array_equal(ours, expected)


def test_a_corrupt_best_falls_back_with_a_warning(data, run, caplog):
    first, *others = checkpoints_in(run.best)
    if not others:  # the first validation was the best
        shutil.copy(first.with_name(first.name + ".index"), run.best / "ckpt-1.index")
        data_file = first.name + ".data-00000-of-00001"
        shutil.copy(first.with_name(data_file), run.best / "ckpt-1.data-00000-of-00001")
        others = [run.best / "ckpt-1"]
    truncate(first)
    with caplog.at_level("WARNING", "leo_tf"):
        leo_tf.load(run.path)
    assert f"is corrupt; the previous one, {others[0].name}, is used" in caplog.text


@pytest.mark.parametrize("damage", ["truncated data", "lost index"])
def test_training_again_replaces_a_lost_best(data, run, damage):
    for prefix in checkpoints_in(run.best):
        DAMAGE[damage](prefix)
    with pytest.raises(InputError, match=r"is corrupt, and there is no other. Rerun the run's train.py command"):
        leo_tf.load(run.path)
    again = trainer(data, run.path)
    assert again.run() == 0
    assert run.best_step() == 8 == again.checkpoints.best[1]
    assert run.best_value("accuracy") == again.checkpoints.best[0] == again.work.validate().interval.mean
    leo_tf.load(run.path)
    longer = trainer(data, run.path, 12)
    longer.run()
    assert longer.checkpoints.best[0] >= again.checkpoints.best[0]


def test_a_corrupt_best_is_renamed_and_does_not_count_among_those_kept(data, run):
    for prefix in checkpoints_in(run.best):
        remove(prefix)
    for step in (4, 6):
        for file in (run.latest / "ckpt-8").parent.glob("ckpt-8.*"):
            shutil.copy(file, run.best / file.name.replace("ckpt-8", f"ckpt-{step}"))
    truncate(run.best / "ckpt-6")
    again = trainer(data, run.path)
    again.checkpoints.restore()
    again.checkpoints._best_step.assign(6)
    assert again.checkpoints.best_is_lost() and again.checkpoints.best[1] == 4
    assert again.checkpoints.offer_best(1.0)
    assert [step_of(prefix) for prefix in checkpoints_in(run.best)] == [8, 4]
    assert {path.name for path in run.best.glob("corrupt-*")} == {
        "corrupt-ckpt-6.index",
        "corrupt-ckpt-6.data-00000-of-00001",
    }


def test_a_failed_save_keeps_the_intact_checkpoint_of_the_same_step(data, run, monkeypatch):
    again = trainer(data, run.path)
    again.checkpoints.restore()

    def fail(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(tf.train.Checkpoint, "write", fail)
    with pytest.raises(InputError, match=r"Cannot write in .*latest \(No space left on device\)\. .* is intact"):
        again.checkpoints.save()
    assert is_whole(run.latest / "ckpt-8")


def test_out_of_memory_is_not_taken_for_corruption(data, run, monkeypatch):
    def fail(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr(tf.train, "load_checkpoint", fail)
    with pytest.raises(tf.errors.ResourceExhaustedError):
        trainer(data, run.path).run()
    assert [step_of(prefix) for prefix in checkpoints_in(run.latest)] == [8, 6]


def test_checkpoints_of_another_model_are_an_error(data, run):
    for prefix in checkpoints_in(run.best):
        remove(prefix)
    tf.train.Checkpoint(other=tf.Variable(1.0)).write(str(run.best / "ckpt-7"))
    for use in (lambda: run.best_value("accuracy"), trainer(data, run.path).run):
        with pytest.raises(InputError, match=r"best/ckpt-7 holds no best_accuracy; expected one of this run"):
            use()
    with pytest.raises(InputError, match=r"best/ckpt-7 is of another model than config\.json says"):
        leo_tf.load(run.path)


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP])
def test_disks_without_locks(tmp_path, monkeypatch, code):
    def fail(*_):
        raise OSError(code, os.strerror(code))

    (tmp_path / "lock").touch()
    monkeypatch.setattr(fcntl, "flock", fail)
    with RunDirectory(tmp_path).locked():
        pass


def test_a_lock_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "lock").mkdir()
    with pytest.raises(InputError, match=r"Cannot write the run directory"), RunDirectory(tmp_path).locked():
        pass


def test_the_second_of_two_processes_stops_and_changes_nothing(data, run):
    code = "import sys; from leo_tf.runs import RunDirectory\nwith RunDirectory(sys.argv[1]).locked(): print(), input()"
    longer, before = trainer(data, run.path, 10), files_of(run)
    with subprocess.Popen(
        [sys.executable, "-uc", code, str(run.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        other.stdout.readline()
        with pytest.raises(InputError, match="Another process is training"):
            longer.run()
        assert files_of(run) == before
        other.communicate("\n", timeout=60)
    assert longer.run() == 2


def files_of(run):
    return {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["a[b]c", "star*", "back\\slash", "what?"])
def test_paths_that_look_like_patterns(data, run, tmp_path, name):
    run.path.rename(tmp_path / name)
    assert newest_whole(tmp_path / name / "latest").name == "ckpt-8"
    assert leo_tf.load(tmp_path / name).config.num_latents == 2
    assert trainer(data, tmp_path / name).run() == 0


def test_a_run_in_such_a_path_resumes(data, whole, tmp_path):
    path = tmp_path / "a[b]c *\\?"
    trainer(data, path, 4).run()
    again = trainer(data, path)
    assert again.run() == 4
    for ours, expected in zip(weights(again), whole[1], strict=True):
        np.testing.assert_array_equal(ours, expected)
    assert list((path / "train").glob("events*")) and list((path / "validation").glob("events*"))
    assert newest_whole(path / "latest").name == "ckpt-8"
    assert leo_tf.load(path).config.num_latents == 2


def test_a_directory_whose_start_was_killed_starts_again(data, tmp_path):
    """Killed between data.json and config.json: config.json alone makes a run."""
    (tmp_path / "data.json").write_text('{"embedding_dim": 999}')
    assert trainer(data, tmp_path, 2).run() == 2


def test_temporary_files_of_a_killed_start_are_removed(data, tmp_path):
    for name in ("data.json", "config.json", "metrics.csv", "evaluation-test.json"):
        (tmp_path / f"{name}.0a1b2c3d.tmp").write_text("{")
    trainer(data, tmp_path, 2).run()
    assert [path.name for path in tmp_path.glob("*.tmp")] == ["evaluation-test.json.0a1b2c3d.tmp"]  # not training's


def test_checkpoints_without_a_configuration_are_an_error(data, run):
    run.config_file.unlink()
    with pytest.raises(InputError, match=r"holds checkpoints, but config.json is missing; put it back"):
        trainer(data, run.path).run()


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"a,b\n1,2\n", b"step\n\x00\n" * 3 + "\u00b2\n".encode() + b"9" * 5000]
)
def test_corrupt_metrics(data, run, content):
    run.metrics_file.write_bytes(content)
    if content.startswith(b"step"):
        assert trainer(data, run.path, 10).run() == 2  # rows without a number are dropped, as after a kill
        return
    with pytest.raises(InputError, match=r"metrics\.csv is corrupt .*Move it away"):
        trainer(data, run.path, 10).run()


@pytest.mark.parametrize("text", ["[" * 100_000, "[1]", "3", '{"embedding_dim": -1}'])
def test_a_corrupt_data_record(data, run, text):
    run.data_file.write_text(text)
    with pytest.raises(
        InputError, match=r"data\.json is .*corrupt|embedding_dim -1; expected a whole number from 1 to"
    ):
        leo_tf.load(run.path)


def test_a_home_directory_is_expanded(monkeypatch, run):
    monkeypatch.setenv("HOME", str(run.path.parent))
    assert RunDirectory("~/run").config() == run.config()
    with pytest.raises(InputError, match=r"Got ~no-such-user/run"):
        RunDirectory("~no-such-user/run")


def test_runs_of_other_lengths_are_not_repetitions(data, run, tmp_path):
    other = tmp_path / "other"
    trainer(data, other, 4, seed=1).run()
    with pytest.raises(InputError, match=r"steps trained \(limit\): 8 \(8\) != 4 \(4\)"):
        require_other_seeds(run.path, [other])
