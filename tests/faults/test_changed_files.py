"""Files that change or break between two starts of a run: embeddings, their cache, checkpoints."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from harness import EVERY, require_same
from run_states import state_of

from leo_tf.runs.checkpoint_files import checkpoints_in

DATA = ".data-00000-of-00001"


def write_embeddings(folder):
    """Write a small data set of one's own."""
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


def test_a_cache_that_breaks_and_embeddings_that_change(runs, tmp_path):
    """A cache that lies is made again, and the run is the same; other embeddings are refused, and nothing is lost."""
    data, cache, path, end = tmp_path / "data", tmp_path / "cache", tmp_path / "run", f"--num_steps_limit={2 * EVERY}"
    write_embeddings(data)
    own = f"--data_path={data}", "--dataset_name=own", f"--cache_dir={cache}", "--num_val_examples_per_class=5"
    runs.finish(tmp_path / "whole", *own, end)
    runs.finish(path, *own, f"--num_steps_limit={EVERY}")

    (rows,) = cache.glob("train-*.npy")
    flip(rows)
    assert "is damaged; it is made again" in runs.finish(path, *own, end)
    require_same(path, tmp_path / "whole", besides={"changes.jsonl"})

    with np.load(data / "own" / "train.npz") as archive:
        changed = dict(archive)
    changed["embeddings"][7, 3] += 0.01
    np.savez(data / "own" / "train.npz", **changed)
    process = runs.train(path, *own)
    assert process.wait() == 2 and "Traceback" not in process.said
    assert "holds a run made otherwise" in process.said.splitlines()[-1] and "train_digest" in process.said
    require_same(path, tmp_path / "whole", besides={"changes.jsonl"})


@pytest.mark.long
@pytest.mark.parametrize(
    "ending,damage", [(DATA, flip), (DATA, cut), (".index", Path.unlink)], ids=["bit", "cut", "lost"]
)
@pytest.mark.parametrize("which", ["latest", "best"])
def test_a_damaged_checkpoint(runs, whole, tmp_path, which, ending, damage):
    """Of the latest, the steps since the one before are made again; of the best, the run still ends as the other."""
    path = tmp_path / "run"
    runs.finish(path, f"--num_steps_limit={3 * EVERY}")
    newest = checkpoints_in(path / which)[0]
    damage(newest.with_name(newest.name + ending))
    said = runs.finish(path)
    if which == "latest":
        assert f"ckpt-{3 * EVERY} is damaged; the run goes on from" in said
        require_same(path, whole, besides={"changes.jsonl"})
    expected = state_of(whole, "latest")
    got = state_of(path, "latest")
    for name in expected.keys() - {name for name in expected if name.startswith("best_")}:
        np.testing.assert_array_equal(got[name], expected[name], err_msg=name)
    process = runs.start("evaluate.py", f"--checkpoint_path={path}", "--num_tasks=5")
    assert process.wait() == 0, process.said


@pytest.mark.long
def test_the_lock_of_an_owner_that_was_killed(runs, whole, tmp_path):
    """It is free at once, for a start in the same folder and for one in a copy of it."""
    path = tmp_path / "run"
    process = runs.train(path)
    while not (path / "lock").exists():
        assert process.number
    process.kill()
    assert process.wait() == -9 and (path / "lock").exists()
    shutil.copytree(path, tmp_path / "copy")
    for each in (path, tmp_path / "copy"):
        runs.finish(each)
        require_same(each, whole)
