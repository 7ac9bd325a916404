"""Exported versions are complete or absent, and their description is correct."""

import json
import subprocess
import sys

import pytest
import tensorflow as tf

from leo_tf import LEO, InputError, LEOConfig
from leo_tf.export import export, read_description, saved_model
from leo_tf.export.versions import newest_version

TINY = LEOConfig(num_latents=2, inner_unroll_length=1, finetuning_unroll_length=0)


@pytest.fixture
def quick(monkeypatch):
    """A LEO to export, with a quick replacement for writing its SavedModel."""

    def write(functions, layers, folder):
        (folder / "saved_model.pb").write_bytes(b"")

    monkeypatch.setattr(saved_model, "write_functions", write)
    return LEO(TINY, 3, seed=0)


def names(folder):
    return sorted(child.name for child in folder.iterdir())


def test_versions_count_up_and_are_never_overwritten(quick, tmp_path):
    assert export(quick, tmp_path / "leo") == tmp_path / "leo" / "1"
    assert export(quick, tmp_path / "leo", version=7).name == "7"
    assert export(quick, tmp_path / "leo").name == "8"
    (tmp_path / "leo" / "notes").mkdir()
    before = (tmp_path / "leo" / "7" / "assets.extra" / "leo.json").stat()
    with pytest.raises(InputError, match="7 exists; give another version"):
        export(quick, tmp_path / "leo", version=7)
    assert (tmp_path / "leo" / "7" / "assets.extra" / "leo.json").stat() == before
    assert names(tmp_path / "leo") == ["1", "7", "8", "notes"]
    assert newest_version(tmp_path / "leo") == tmp_path / "leo" / "8"
    with pytest.raises(InputError, match="Version 0"):
        export(quick, tmp_path / "leo", version=0)


def test_a_failed_export_leaves_nothing(quick, tmp_path, monkeypatch):
    def fail(functions, layers, folder):
        (folder / "saved_model.pb").write_bytes(b"half")
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(saved_model, "write_functions", fail)
    with pytest.raises(InputError, match="No space left on device"):
        export(quick, tmp_path)
    assert names(tmp_path) == []


def test_a_version_written_concurrently_stays(quick, tmp_path, monkeypatch):
    def overtaken(functions, layers, folder):
        (tmp_path / "1").mkdir()
        (tmp_path / "1" / "saved_model.pb").write_bytes(b"theirs")

    monkeypatch.setattr(saved_model, "write_functions", overtaken)
    with pytest.raises(InputError, match="Cannot write a version"):
        export(quick, tmp_path)
    assert names(tmp_path) == ["1"]
    assert (tmp_path / "1" / "saved_model.pb").read_bytes() == b"theirs"


def test_refuses_an_impossible_folder(quick, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="Cannot write a version"):
        export(quick, tmp_path / "file")


def test_the_description_is_correct(run, saved_model):
    note = read_description(saved_model)
    assert note["model"]["num_latents"] == 8
    assert (note["algorithm"], note["embedding_dim"], note["classifier_dim"]) == ("LEO", 16, 16)
    assert note["initialization"] == {"chosen": {}, "measured": {}} and note["has_transform"] is False
    assert note["normalize_embeddings"] is True
    assert note["best"] == {"validation_accuracy": 0.75, "step": 1200}
    assert note["data"]["train_digest"] == "digest-of-train"
    assert note["data"]["dataset_name"] == "miniImageNet"
    assert note["versions"]["tensorflow"] == tf.__version__
    with pytest.raises(InputError, match="expected a folder that"):
        read_description(run)


@pytest.mark.long
def test_a_run_knows_its_normalisation_and_a_float64_model_serves_float32(run, tmp_path):
    with pytest.raises(InputError, match="the run knows"):
        export(run, tmp_path, normalize=True)
    version = export(LEO(TINY, 3, seed=0, dtype="float64"), tmp_path, normalize=False)
    assert read_description(version)["normalize_embeddings"] is False
    adapted = tf.saved_model.load(str(version)).signatures["adapt"](support_x=[[[1.0, 2, 3]]], support_y=[[0]])
    assert adapted["classifier"].dtype == tf.float32


def test_the_command(run, tmp_path):
    command = [sys.executable, "-m", "leo_tf.export"]
    done = subprocess.run(
        [*command, f"--checkpoint_path={run}", f"--output={tmp_path}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "step 1200, validation accuracy 75.00 %" in done.stdout
    assert json.loads((tmp_path / "1" / "assets.extra" / "leo.json").read_text())["embedding_dim"] == 16
    with pytest.raises(InputError, match="No run in"):
        export(tmp_path, tmp_path)
    assert names(tmp_path) == ["1"]
