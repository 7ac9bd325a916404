"""Files that change or become corrupt between two starts of a run: embeddings, their cache, checkpoints."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from harness import EVERY, require_error, require_same
from run_states import state_of

from leo_tf.runs.checkpoint_files import checkpoints_in

pytestmark = pytest.mark.long

DATA = ".data-00000-of-00001"


def write_embeddings(folder):
    """Write a small data set."""
    rng = np.random.default_rng(0)
    (folder / "own").mkdir(parents=True)
    for split in ("train", "val"):
        rows = rng.normal(size=(4, 1, 8)) + 0.7 * rng.normal(size=(4, 25, 8))
        labels = np.repeat([f"{split}{number}" for number in range(4)], 25)
        np.savez(folder / "own" / f"{split}.npz", embeddings=rows.reshape(-1, 8), labels=labels)


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def cut(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def test_corrupt_cache_is_rebuilt_and_changed_embeddings_are_refused(runs, tmp_path):
    data, cache, path, end = tmp_path / "data", tmp_path / "cache", tmp_path / "run", f"--num_steps_limit={2 * EVERY}"
    write_embeddings(data)
    own = f"--data_path={data}", "--dataset_name=own", f"--cache_dir={cache}", "--num_val_examples_per_class=5"
    runs.finish(tmp_path / "reference", *own, end)
    runs.finish(path, *own, f"--num_steps_limit={EVERY}")

    (rows,) = cache.glob("train-*.npy")
    flip(rows)
    assert "is corrupt; it is created again" in runs.finish(path, *own, end)
    require_same(path, tmp_path / "reference", ignoring={"changes.jsonl"})

    with np.load(data / "own" / "train.npz") as archive:
        changed = dict(archive)
    changed["embeddings"][7, 3] += 0.01
    np.savez(data / "own" / "train.npz", **changed)
    process = runs.train(path, *own)
    require_error(process, "holds a run with other settings")
    assert "train_digest" in process.output
    require_same(path, tmp_path / "reference", ignoring={"changes.jsonl"})


@pytest.mark.long
@pytest.mark.parametrize(
    "ending,corrupt", [(DATA, flip), (DATA, cut), (".index", Path.unlink)], ids=["bit", "cut", "lost"]
)
@pytest.mark.parametrize("which", ["latest", "best"])
def test_resume_after_corrupt_checkpoint(runs, reference, tmp_path, which, ending, corrupt):
    """A corrupt latest checkpoint costs its steps, a corrupt best one nothing; the run ends like the reference."""
    path = tmp_path / "run"
    runs.finish(path, f"--num_steps_limit={3 * EVERY}")
    newest = checkpoints_in(path / which)[0]
    corrupt(newest.with_name(newest.name + ending))
    output = runs.finish(path)
    if which == "latest":
        assert f"ckpt-{3 * EVERY} is corrupt; the run resumes from" in output
        require_same(path, reference, ignoring={"changes.jsonl"})
    expected = state_of(reference, "latest")
    got = state_of(path, "latest")
    for name in expected.keys() - {name for name in expected if name.startswith("best_")}:
        np.testing.assert_array_equal(got[name], expected[name], err_msg=name)
    process = runs.start("evaluate.py", f"--checkpoint_path={path}", "--num_tasks=5")
    assert process.wait() == 0, process.output


@pytest.mark.long
def test_lock_of_a_killed_owner_is_free(runs, reference, tmp_path):
    """It is free at once, for a start in the same directory and for one in a copy of it."""
    path = tmp_path / "run"
    process = runs.train(path)
    while not (path / "lock").exists():
        assert process.number
    process.kill()
    assert process.wait() == -9 and (path / "lock").exists()
    shutil.copytree(path, tmp_path / "copy")
    for each in (path, tmp_path / "copy"):
        runs.finish(each)
        require_same(each, reference)
