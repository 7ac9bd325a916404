"""JSON files of runs, exports and data are read or refused."""

import json
import math

import numpy as np
import pytest
from fuzzing import EFFORT, corrupted, fuzz, little_memory, refusing
from hypothesis import strategies as st
from structures import changed

from leo_tf import RunConfig
from leo_tf.config import DataConfig, LEOConfig, RegressionConfig
from leo_tf.data.download import _is_ready as is_ready
from leo_tf.data.extractor_metadata import overlap_warning, read_extractor_metadata
from leo_tf.data.readers import read_split
from leo_tf.execution.job import Job
from leo_tf.export import adapter
from leo_tf.export.versions import read_calibration
from leo_tf.features.extractor import Extractor
from leo_tf.features.settings import PretrainConfig
from leo_tf.runs import RunDirectory
from leo_tf.runs.registry import problem_of

pytestmark = pytest.mark.long

CONFIGS = [
    RunConfig(),
    RunConfig(LEOConfig(num_latents=4), DataConfig(dataset_name="glyphs")),
    RunConfig(algorithm="maml"),
    RunConfig(LEOConfig(dropout_rate=0.0), regression=RegressionConfig(), problem="regression"),
]
DATA = {"embedding_dim": 8, "train_classes": 3, "train_digest": "a", "validation_digest": "b"}
EXTRACTOR = {
    "extractor": {"name": "WRN", "layer": "x", "trained_on": ["a", "b"], "trained_on_note": "", "weights_sha256": "0"},
    "preprocessing": {"resize_size": 9, "image_size": 8, "color": "rgb", "mean": [0, 0, 0], "scale": [1, 1, 1]},
    "views": "center",
}
DESCRIPTION = {
    "format": 1,
    "model": {"num_latents": 4, "feature_transform": "none"},
    "embedding_dim": 8,
    "normalize_embeddings": True,
    "has_transform": False,
    "calibration": {"shots": [1, 5], "temperatures": [1.5, 0.5]},
    "signatures": {"adapt": "a"},
}


def config(folder):
    """Read a configuration as every command does."""
    run = RunDirectory(folder)
    read = run.config()
    assert RunConfig.from_json(read.to_json()) == read
    run.refuse_other(read)
    assert run.changes(RunConfig(algorithm=read.algorithm)) is not None
    problem_of(read)


def data(folder):
    """Check the record of data as for building a learner, without building large ones."""
    record = RunDirectory(folder).data()
    (folder / "config.json").write_text(RunConfig().to_json())
    RunDirectory(folder).claim(RunConfig(), record)
    dim = record.get("embedding_dim")
    if not isinstance(dim, int) or not 1 <= dim <= 1000:  # others are built, or refused
        problem_of(RunConfig(LEOConfig(num_latents=4))).build_learner(record)


def calibration(folder):
    """Read the calibration of a run whose best step is 7."""
    (folder / "config.json").write_text(RunConfig().to_json())
    run = RunDirectory(folder)
    run.best_step = lambda: 7
    found = run.calibration()
    assert all(0 < each < math.inf for each in found.temperatures) and len(found.shots) == len(found.temperatures)


def extractor_metadata(folder):
    """As an evaluation looks at who made the embeddings, and as images are embedded again."""
    assert isinstance(overlap_warning(read_extractor_metadata(folder), ["a", "c"]), str)


def extractor(folder):
    """As images are embedded; there is no extractor.keras."""
    Extractor.load(folder)


def description(folder):
    """Read the description of a SavedModel."""
    normalize, _ = adapter.read_preparation(folder)
    assert isinstance(normalize, bool)
    read_calibration(folder)


def finished(folder):
    """Check whether a job is finished."""
    Job("job", folder, (("train.py", ()),)).finished()


def pretraining(folder):
    PretrainConfig.from_json((folder / "config.json").read_text(encoding="utf-8", errors="replace"))


def labels(folder):
    """Read labels beside an array of rows."""
    np.save(folder / "train.npy", np.ones((3, 2), np.float32))
    read_split(folder / "train.npy")


def downloaded(folder):
    """Read the record of a download."""
    is_ready(folder)


FILES = {
    "config.json": (config, [json.loads(each.to_json()) for each in CONFIGS]),
    "data.json": (data, [DATA]),
    "calibration.json": (
        calibration,
        [
            {
                "step": 7,
                "shots": [1, 5],
                "temperatures": [1.5, 0.5],
                "unknown_temperatures": [1.5, 0.5],
                "unknown_thresholds": [-1.0, 0.5],
            }
        ],
    ),
    "extractor.json": (extractor_metadata, [EXTRACTOR]),
    "extractor": (extractor, [EXTRACTOR]),
    "leo.json": (description, [DESCRIPTION]),
    "job.json": (finished, [{"ok": True, "commands": "a", "reason": "", "stopped": False, "seconds": 1.0}]),
    "pretraining": (pretraining, [json.loads(PretrainConfig().to_json())]),
    "train.json": (labels, [["a", "b", "a"], {"labels": [1, 2, 1]}]),
    "download": (downloaded, [{"files": {"a.pkl": {"size": 1, "mtime_ns": 2, "sha256": "0"}}}]),
}
PLACES = {
    "extractor": "extractor.json",
    "leo.json": "assets.extra/leo.json",
    "pretraining": "config.json",
    "download": "embeddings.json",
}


@EFFORT
@pytest.mark.parametrize("name", FILES)
def test_json(tmp_path, name, effort):
    read, documents = FILES[name]
    file = tmp_path / PLACES.get(name, name)
    file.parent.mkdir(exist_ok=True)
    texts = [json.dumps(each, indent=2).encode() for each in documents]

    def check(content):
        file.write_bytes(content)
        with little_memory(32e6), refusing():
            read(tmp_path)

    as_text = st.builds(lambda document: json.dumps(document).encode(), changed(documents))
    fuzz(st.one_of(as_text, as_text, corrupted(*texts)), check, 120, effort)
