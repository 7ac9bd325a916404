"""An extraction shared by two workers writes the files of one process, and resumes after a worker was lost."""

import json
import shutil
import signal
import time

import numpy as np
import pytest
from drawn_images import write_classes
from worker_processes import BOUND

from leo_tf.data.extractor_metadata import METADATA_FILE, MODEL_FILE
from leo_tf.features.settings import NetworkConfig
from leo_tf.features.wrn import wide_resnet

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """photos/, one of them truncated after its header, and an untrained network.keras."""
    root = tmp_path_factory.mktemp("root")
    write_classes(root / "photos" / "train", range(6), images=60)
    write_classes(root / "photos" / "val", range(6, 9), images=5)
    cut = root / "photos" / "train" / "c02" / "7.png"
    cut.write_bytes(cut.read_bytes()[:-300])
    wide_resnet(NetworkConfig(depth=10, width=1), 16, 3, 6, seed=3).save(root / "network.keras")
    return root


@pytest.fixture
def extract(runs, root):
    """A function that starts an extraction of the photos into a directory."""

    def start(output, *more, **how):
        flags = (f"--extractor={root / 'network.keras'}", f"--images={root / 'photos'}", f"--output={output}")
        return runs.start("leo_tf/features/extract/__main__.py", *flags, "--dtype=float32", *more, **how)

    return start


def require_same(found, expected):
    """Require that two data sets have equal embeddings, up to rounding, and otherwise identical files."""
    splits = ("train.npz", "val.npz")
    assert (
        {file.name for file in found.iterdir()}
        == {file.name for file in expected.iterdir()}
        == {METADATA_FILE, MODEL_FILE, *splits}
    )
    for name in splits:
        with np.load(expected / name) as one, np.load(found / name) as two:
            np.testing.assert_allclose(two["embeddings"], one["embeddings"], rtol=1e-5, atol=1e-6)
            np.testing.assert_array_equal(two["labels"], one["labels"])
            np.testing.assert_array_equal(two["paths"], one["paths"])
    for name in (METADATA_FILE, MODEL_FILE):
        assert (found / name).read_bytes() == (expected / name).read_bytes()


def test_two_workers_write_the_files_of_one(extract, workers, tmp_path):
    """There are several pieces of images, the last smaller than a chunk per worker, and one corrupt image."""
    alone = extract(tmp_path / "one")
    output = workers.finish(tmp_path / "two", train=extract)
    assert alone.wait() == 0, alone.output
    assert "359 images of 6 classes" in output[0] and "359 images" not in output[1]
    require_same(tmp_path / "two", tmp_path / "one")
    metadata = json.loads((tmp_path / "two" / METADATA_FILE).read_text())
    assert list(metadata["images"]["train"]["skipped"]) == ["train/c02/7.png"]


@pytest.mark.long
@pytest.mark.parametrize("victim", [0, 1])
def test_lost_worker_ends_the_other_and_the_same_command_resumes(extract, workers, tmp_path, victim):
    flags, parts = ("--views=drawing", "--worker_timeout=5"), tmp_path / "two" / "parts" / "train.f32"
    both = workers.start(tmp_path / "two", *flags, train=extract)
    until = time.monotonic() + 100
    while not parts.exists() and time.monotonic() < until:
        time.sleep(0.005)
    both[victim].kill(signal.SIGKILL)
    since, left = time.monotonic(), both[1 - victim]
    assert left.wait() == 2, left.output
    assert time.monotonic() - since < 5 + BOUND
    assert f"Error: Worker {victim} (127.0.0.1:" in left.output and "same command to all workers again" in left.output
    workers.finish(tmp_path / "two", *flags, train=extract)
    alone = extract(tmp_path / "one", *flags[:1])
    assert alone.wait() == 0, alone.output
    require_same(tmp_path / "two", tmp_path / "one")


@pytest.mark.long
def test_errors_end_all_workers(root, extract, workers, tmp_path):
    wide_resnet(NetworkConfig(depth=10, width=1), 16, 3, 6, seed=4).save(tmp_path / "other.keras")
    other = [f"--extractor={tmp_path / 'other.keras'}"]
    workers.require_refused(tmp_path / "data", "The workers differ: weights_sha256=", other, extract, whose=1)
    shutil.copytree(root / "photos", tmp_path / "photos")
    (tmp_path / "photos" / "val" / "c06" / "0.png").unlink()
    fewer = [f"--images={tmp_path / 'photos'}"]
    workers.require_refused(tmp_path / "data", "The workers differ: val_digest=", fewer, extract, whose=1)
    assert not (tmp_path / "data").exists()
