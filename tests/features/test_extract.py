"""Extraction: equal bits from run to run and for any batch size, files that training reads, and their metadata."""

import dataclasses
import json
import logging
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from leo_tf import EmbeddingTable, InputError
from leo_tf.data.extractor_metadata import METADATA_FILE, MODEL_FILE, overlap_warning
from leo_tf.data.image_paths import image_paths
from leo_tf.evaluation.single_process import SingleProcess
from leo_tf.features.backbones import make_extractor
from leo_tf.features.extract.extraction import Extraction
from leo_tf.features.extract.output import extractor_folder, split_file, write_split
from leo_tf.features.images import find_images, inspect
from leo_tf.training.distributed.collectives import Collectives

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def extractor(features_run):
    return make_extractor(features_run)


@pytest.fixture(scope="module")
def inspected(split_folder):
    return inspect(find_images(split_folder).splits)


def extract(*flags):
    command = [sys.executable, "-m", "leo_tf.features.extract", *flags]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=180, check=False)


@pytest.fixture(scope="module")
def extracted(features_run, split_folder, tmp_path_factory):
    """(folder of data sets, the finished command)."""
    data = tmp_path_factory.mktemp("data")
    done = extract(
        f"--extractor={features_run}", f"--images={split_folder}", f"--output={data / 'bars'}", "--licence=CC0"
    )
    assert done.returncode == 0, done.stderr
    return data, done


@pytest.mark.long
def test_batch_size_does_not_change_the_bits(extractor, inspected, tmp_path):
    whole = Extraction(extractor, tmp_path / "a", batch_size=64).run(inspected["train"], "train").embeddings
    for batch_size in (1, 7, 36):
        found = Extraction(extractor, tmp_path / f"{batch_size}", batch_size).run(inspected["train"], "train")
        np.testing.assert_array_equal(found.embeddings, whole)
    assert np.abs(whole).max() > 0 and len(whole) == 36


def test_stopped_extraction_resumes(extractor, inspected, tmp_path, monkeypatch):
    whole = Extraction(extractor, tmp_path / "whole", 8).run(inspected["train"], "train").embeddings
    calls = []

    class Stopping:
        def __getattr__(self, name):
            return getattr(extractor, name)

        def __call__(self, squares):
            calls.append(len(squares))
            if len(calls) == 2:
                raise KeyboardInterrupt
            return extractor(squares)

    monkeypatch.setattr("leo_tf.features.extract.extraction._NOTE_INTERVAL", -1.0)
    with pytest.raises(KeyboardInterrupt):
        Extraction(Stopping(), tmp_path / "parts", 8).run(inspected["train"], "train")
    found = Extraction(Stopping(), tmp_path / "parts", 8).run(inspected["train"], "train")
    assert calls == [32, 32, 32]
    np.testing.assert_array_equal(found.embeddings, whole)
    Extraction(Stopping(), tmp_path / "parts", 8).run(inspected["train"], "train")
    assert len(calls) == 3  # everything was finished
    found = Extraction(extractor, tmp_path / "parts", 8).run(inspected["val"], "train")  # other images: from scratch
    assert len(found.embeddings) == 18


class Thread(SingleProcess):
    """A worker that is a thread."""

    shard, broadcast = Collectives.shard, Collectives.broadcast

    def __init__(self, number, said, barrier):
        self.cluster, self.count, self.is_chief = SimpleNamespace(number=number), len(said), not number
        self._said, self._barrier = said, barrier

    def all_gather(self, content):
        self._said[self.cluster.number] = content
        self._barrier.wait()
        heard = list(self._said)
        self._barrier.wait()
        return heard

    def all_reduce(self, arrays):
        return [sum(parts) for parts in zip(*self.all_gather(arrays), strict=True)]


@pytest.mark.parametrize("count", [2, 3])
def test_number_of_workers_does_not_change_the_bits(extractor, inspected, tmp_path, monkeypatch, count):
    monkeypatch.setattr("leo_tf.features.extract.extraction.CHUNK", 5)
    monkeypatch.setattr("leo_tf.features.extract.extraction._CHUNKS_PER_WORKER", 1)
    whole = Extraction(extractor, tmp_path / "whole").run(inspected["train"], "train").embeddings
    said, barrier = [None] * count, threading.Barrier(count, timeout=60)

    def run(number):
        worker = Thread(number, said, barrier)
        return Extraction(extractor, tmp_path / "parts", 7, workers=worker).run(inspected["train"], "train")

    for done in (0, 15, 36):  # from scratch, resumed with another number of workers, with nothing left to do
        note = {**json.loads((tmp_path / "whole" / "train.json").read_text()), "done": done}
        (tmp_path / "parts").mkdir(exist_ok=True)
        (tmp_path / "parts" / "train.json").write_text(json.dumps(note))
        shutil.copy(tmp_path / "whole" / "train.f32", tmp_path / "parts" / "train.f32")
        with ThreadPoolExecutor() as pool:
            found, *others = pool.map(run, range(count))
        np.testing.assert_array_equal(found.embeddings, whole)
        assert others == [None] * (count - 1)


def test_corrupt_images_are_skipped_and_named(extractor, split_folder, tmp_path):
    shutil.copytree(split_folder, tmp_path / "images")
    file = tmp_path / "images" / "val" / "c07" / "2.png"
    file.write_bytes(file.read_bytes()[:-300])
    inspected = inspect(find_images(tmp_path / "images").splits)
    found = Extraction(extractor, tmp_path / "parts", max_unreadable=0.1).run(inspected["val"], "val")
    assert list(found.skipped) == ["val/c07/2.png"] and len(found.embeddings) == len(found.source) == 17
    assert found.source.labels.count("c07") == 5


def test_training_reads_the_files_of_the_command(extracted, extractor, split_folder):
    data, done = extracted
    table = EmbeddingTable.load(data, "bars", "test", cache_dir=data / "cache", normalize=False)
    assert table.class_names == ("c09", "c10", "c11") and table.dim == 64
    with np.load(data / "bars" / "test.npz") as arrays:
        assert arrays["paths"][7] == "test/c10/1.png" and arrays["embeddings"].dtype == np.float16
        square = extractor.loader.square((split_folder / "test/c10/1.png").read_bytes())
        np.testing.assert_allclose(arrays["embeddings"][7], extractor(square[np.newaxis])[0], rtol=2e-3, atol=1e-3)
    assert "images/s" in done.stdout and "python train.py --flagfile=" in done.stdout
    assert not (data / "bars" / "parts").exists()


def test_metadata_describe_the_extractor_and_the_images(extracted, extractor):
    data, done = extracted
    metadata = json.loads((data / "bars" / METADATA_FILE).read_text())
    assert metadata["extractor"] == extractor.about and metadata["licence"] == "CC0"
    assert metadata["embedding_dim"] == 64 and metadata["views"] == "center"
    assert metadata["preprocessing"]["resize_size"] == 18
    assert {split: (n["count"], n["classes"]) for split, n in metadata["images"].items()} == {
        **{"train": (36, 6), "val": (18, 3), "test": (18, 3)}
    }
    assert "trained on" not in done.stderr  # the extractor was not trained on test classes


@pytest.mark.long
def test_command_is_reproducible_to_the_byte(extracted, features_run, split_folder, tmp_path):
    done = extract(f"--extractor={features_run}", f"--images={split_folder}", f"--output={tmp_path}", "--batch_size=5")
    assert done.returncode == 0, done.stderr
    for name in ("train.npz", "val.npz", "extractor.keras"):
        assert (tmp_path / name).read_bytes() == (extracted[0] / "bars" / name).read_bytes(), name


def test_other_layouts(extractor, inspected, extracted, tmp_path):
    found = Extraction(extractor, tmp_path / "parts").run(inspected["val"], "val")
    for views, layout in [("center", "official"), ("multiview", "official"), ("multiview", "npz")]:
        name = f"{views}-{layout}"
        write_split(split_file(tmp_path / name, "val", views, layout), found, "float32", layout)
        table = EmbeddingTable.load(tmp_path, name, "val", views, cache_dir=tmp_path / "cache", normalize=False)
        np.testing.assert_array_equal(table.embeddings, found.embeddings)
        assert table.class_names == ("c06", "c07", "c08")
        shutil.copy(extracted[0] / "bars" / METADATA_FILE, extractor_folder(tmp_path / name, views))
        assert image_paths(tmp_path, name, views, "val", table).tolist() == inspected["val"].source.names
    hyphen = found._replace(source=dataclasses.replace(found.source, labels=["a-b"] * 18))
    with pytest.raises(InputError, match="Class 'a-b' has a hyphen"):
        write_split(tmp_path / "x.pkl", hyphen, "float32", "official")
    with pytest.raises(InputError, match="too large for float16; give dtype=float32"):
        write_split(tmp_path / "x.npz", found._replace(embeddings=found.embeddings * 1e6 + 1e6), "float16", "npz")


def test_embeddings_that_are_not_finite_are_refused(extractor, inspected, tmp_path):
    class Broken:
        def __getattr__(self, name):
            return getattr(extractor, name)

        def __call__(self, squares):
            return extractor(squares) * np.nan

    with pytest.raises(InputError, match=r"gives NaN or infinity for val/c06/0\.png"):
        Extraction(Broken(), tmp_path).run(inspected["val"], "val")


def test_overlap_warning():
    metadata = {"extractor": {"name": "WRN", "trained_on": ["a", "b"]}}
    assert overlap_warning(metadata, ["c"]) == ""
    assert "trained on 1 of the 2 test classes, for example 'b'" in overlap_warning(metadata, ["b", "c"])
    unknown = {"extractor": {"name": "ResNet50", "trained_on": None, "trained_on_note": "ImageNet"}}
    assert "trained on ImageNet. It may have seen the test classes" in overlap_warning(unknown, ["c"])


@pytest.mark.long
def test_command_refuses_bad_input(features_run, split_folder, tmp_path):
    for flags, message in {
        (f"--images={split_folder}", "--output=x"): "Error: --extractor='' was given; expected a pre-training run",
        (f"--extractor={features_run}", f"--images={tmp_path}", "--output=x"): "has no folders of images",
    }.items():
        done = extract(*flags)
        assert done.returncode == 2 and message.replace("--", "") in done.stderr.replace("--", ""), done.stderr
        assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def leo_run(extracted, tmp_path_factory):
    """The folder of a LEO run, untrained, on the extracted embeddings."""
    import leo_tf
    from leo_tf.config import DataConfig, EpisodeConfig, TrainingConfig

    root = tmp_path_factory.mktemp("leo")
    training = TrainingConfig(num_steps_limit=1, metavalid_tasks=2, metavalid_ways=3, jit="off", checkpoint_steps=1)
    episodes = EpisodeConfig(num_classes=3, num_val_examples_per_class=2)
    data = DataConfig(data_path=str(extracted[0]), dataset_name="bars", cache_dir=str(root / "cache"))
    config = leo_tf.RunConfig(leo_tf.LEOConfig(1, 1, num_latents=4), data, episodes, training)
    leo_tf.Trainer(leo_tf.MetaTraining(config), root / "run").run()
    return root / "run", config


@pytest.mark.long
def test_run_keeps_the_extractor_of_its_data(leo_run, extracted):
    for name in (METADATA_FILE, MODEL_FILE):
        kept = leo_run[0] / "extractor" / name
        assert kept.read_bytes() == (extracted[0] / "bars" / name).read_bytes()


@pytest.mark.long
def test_evaluation_warns_of_test_classes_known_to_the_extractor(leo_run, extracted, caplog):
    from leo_tf.classification.evaluation import ClassificationEvaluation
    from leo_tf.problem import EvaluationRequest

    config = leo_run[1]
    with caplog.at_level(logging.WARNING, "leo_tf"):
        assert ClassificationEvaluation(config, EvaluationRequest(num_tasks=2)).table.num_classes == 3
    assert "this is not a test on new classes" not in caplog.text
    file = extracted[0] / "bars" / METADATA_FILE
    before = file.read_text()
    metadata = json.loads(before)
    metadata["extractor"]["trained_on"].append("c10")
    try:
        file.write_text(json.dumps(metadata))
        with caplog.at_level(logging.WARNING, "leo_tf"):
            assert ClassificationEvaluation(config, EvaluationRequest(num_tasks=2)).table.num_classes == 3
    finally:
        file.write_text(before)
    assert "trained on 1 of the 3 test classes, for example 'c10'" in caplog.text
