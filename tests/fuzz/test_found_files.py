"""Files that fuzzing found, one of each kind: they once caused a traceback, took minutes or exhausted memory."""

import io
import json
import pickle
import struct
import zipfile
import zlib

import numpy as np
import pytest
import tensorflow as tf
from fuzzing import little_memory
from PIL import Image

from leo_tf import InputError, LEOConfig, RunConfig
from leo_tf.classification.results import EvaluationResult
from leo_tf.data.conversion import convert_in_memory
from leo_tf.data.download import _is_ready
from leo_tf.data.extractor_metadata import read_extractor_metadata
from leo_tf.data.image_paths import image_paths
from leo_tf.data.readers import read_split
from leo_tf.evaluation import compare
from leo_tf.export import read_description
from leo_tf.features.images import Loader, Preprocessing, find_images
from leo_tf.features.images.archives import read_arrays, read_cache
from leo_tf.features.images.decoding import squares_of
from leo_tf.files import npz
from leo_tf.files.pixels import UnreadableError, open_image
from leo_tf.runs import RunDirectory
from leo_tf.runs.metrics import progress_of
from leo_tf.runs.registry import problem_of
from leo_tf.search.space import read_space

PIXELS = np.zeros((2, 5, 5, 3), np.uint8)


def archive(method=zipfile.ZIP_STORED, **arrays):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for name, values in arrays.items():
            raw = io.BytesIO()
            np.save(raw, values)
            file.writestr(f"{name}.npy", raw.getvalue())
    return bytearray(buffer.getvalue())


def encrypted():
    content = archive(score=np.zeros(3))
    content[6] |= 1
    content[content.index(b"PK\1\2") + 8] |= 1
    return content


def corrupt_lzma():
    content = archive(zipfile.ZIP_LZMA, score=np.zeros(300))
    content[60:70] = b"\xff" * 10
    return content


def wrong_offset():
    content = archive(score=np.zeros(3))
    start = content.index(b"PK\1\2")
    content[start + 42 : start + 46] = struct.pack("<I", len(content) - 4)  # where the member begins
    return content


@pytest.mark.parametrize("make", [encrypted, corrupt_lzma, wrong_offset])
def test_archives_that_zipfile_cannot_read(tmp_path, make):
    file = tmp_path / "train.npz"
    file.write_bytes(make())
    with pytest.raises(InputError, match=r"train\.npz is corrupt"):
        npz.read(file, "a result", score=("f", 1))
    with pytest.raises(InputError, match=r"train\.npz"):
        read_split(file)


@pytest.mark.parametrize("version", [2, 3])
def test_an_array_with_a_huge_header(tmp_path, version):
    """In a later version of the format, the first letters of the header are part of its length."""
    file = tmp_path / "train.npy"
    np.save(file, np.ones((12, 4), np.float32))
    content = bytearray(file.read_bytes())
    content[6] = version
    file.write_bytes(content)
    (tmp_path / "train.json").write_text("[]")
    with little_memory(32e6), pytest.raises(InputError, match=r"train\.npy is corrupt \(its header declares more"):
        read_split(file)


def test_paths_of_a_corrupt_archive(tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "train.npz").write_bytes(b"no archive")
    with pytest.raises(InputError, match="is corrupt"):
        image_paths(tmp_path, "own", "center", "train", None)
    np.savez(tmp_path / "own" / "train.npz", paths=["a", "b"], labels=["a"])
    with pytest.raises(InputError, match="2 paths and 1 labels"):
        image_paths(tmp_path, "own", "center", "train", None)


def test_one_long_key_for_every_row(tmp_path):
    """Every 5 bytes of the file once became a string of a kilobyte."""
    rows, key = 20_000, "x-" + "a" * 990 + "-y"
    content = {"embeddings": np.ones((rows, 1), np.uint8), "keys": [key] * rows}
    (tmp_path / "train_embeddings.pkl").write_bytes(pickle.dumps(content, protocol=2))
    with little_memory(8e6):
        assert convert_in_memory([read_split(tmp_path / "train_embeddings.pkl")], True).class_sizes == (rows,)


@pytest.mark.parametrize("rows", [[[0], [1, 2]], [[[0]] * 2, [1]], "text"])
def test_classes_of_images_with_odd_rows(tmp_path, rows):
    (tmp_path / "cache.pkl").write_bytes(pickle.dumps({"image_data": PIXELS, "class_dict": {"a": rows}}))
    with pytest.raises(InputError, match=r"cache\.pkl"):
        read_cache(tmp_path / "cache.pkl")


@pytest.mark.parametrize(
    "wrong", [{"label_specific": [0, 9]}, {"label_general": [0]}, {"label_specific": [[0], [0, 1]]}]
)
def test_labels_without_names(tmp_path, wrong):
    whole = {
        "label_specific": [0, 1],
        "label_specific_str": ["a", "b"],
        "label_general": [0, 0],
        "label_general_str": ["g"],
    }
    np.savez(tmp_path / "images.npz", images=PIXELS)
    (tmp_path / "labels.pkl").write_bytes(pickle.dumps(whole))
    assert read_arrays(tmp_path / "images.npz", tmp_path / "labels.pkl")[1] == ["g/a", "g/b"]
    (tmp_path / "labels.pkl").write_bytes(pickle.dumps(whole | wrong))
    with pytest.raises(InputError, match=r"labels\.pkl"):
        read_arrays(tmp_path / "images.npz", tmp_path / "labels.pkl")


def result(**more):
    known = {"task_accuracy": np.ones(5), "task_loss": np.ones(5), "baseline_names": np.array(["a"])}
    known |= {"task_baselines": np.ones((1, 5)), "ways": 5, "shots": 1, "queries": 2, "seed": 0, "stream": 0}
    known |= {"data_digest": "d", "tasks_digest": "t", "model_fingerprint": "m", "algorithm": "LEO", "seconds": 1.0}
    return EvaluationResult(**known | more)


@pytest.mark.parametrize("wrong", [{"task_loss": np.ones(4)}, {"baseline_names": np.array(["a", "b"])}])
def test_results_with_arrays_of_different_lengths(tmp_path, wrong):
    result(**wrong).save(tmp_path / "result.npz")
    with pytest.raises(InputError, match=r"result\.npz is corrupt \(task_.* has"):
        EvaluationResult.load(tmp_path / "result.npz")


def test_results_of_fewer_tasks_under_the_same_digest():
    fewer = result(task_accuracy=np.ones(3), task_loss=np.ones(3), task_baselines=np.ones((1, 3)))
    with pytest.raises(InputError, match="different tasks: num_tasks 5 != 3"):
        compare(result(), fewer)


DIGITS = "9" * 5000


def test_numbers_of_thousands_of_digits(tmp_path):
    """Python neither reads nor writes them, and says so by a ValueError of its own."""
    run = RunDirectory(tmp_path)
    run.config_file.write_text(f'{{"problem": {DIGITS}}}')
    with pytest.raises(InputError, match="configuration is not JSON"):
        run.config()
    (tmp_path / "space.toml").write_text(f"outer_lr = {{ low = 0, high = 0x{DIGITS} }}")
    with pytest.raises(InputError, match=r"low=0 high=a number of 20000 bits; expected numbers"):
        read_space(tmp_path / "space.toml", RunConfig())
    with pytest.raises(InputError, match=r"num_latents=a number of 16610 bits was given"):
        LEOConfig(num_latents=10**5000)


@pytest.mark.parametrize(
    "text",
    [
        *("[]", "3", '{"step": 7}', '{"step": 7, "shots": [1], "temperatures": [Infinity]}'),
        *(
            '{"step": 7, "shots": [1], "temperatures": [-1.0]}',
            '{"step": 7, "shots": [5, 1], "temperatures": [1.0, 2.0]}',
        ),
        *('{"step": 7, "shots": [1, 5], "temperatures": [1.0]}', '{"step": 7, "shots": [], "temperatures": []}'),
        '{"step": 7, "shots": [1], "temperatures": [1.0], "unknown_temperatures": [1.0], "unknown_thresholds": []}',
        '{"step": 7, "shots": [1], "temperatures": [1.0], "unknown_temperatures": 3, "unknown_thresholds": 3}',
    ],
)
def test_invalid_calibrations(tmp_path, text, monkeypatch):
    monkeypatch.setattr(RunDirectory, "best_step", lambda self: 7)
    run = RunDirectory(tmp_path)
    run.calibration_file.write_text(text)
    with pytest.raises(InputError, match=r"is corrupt|is not calibrated"):
        run.calibration()


@pytest.mark.parametrize("text", ["[]", "{", '"x"', '{"a": ' + DIGITS + "}"])
def test_corrupt_model_notes_and_extractor_metadata(tmp_path, text):
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / "assets.extra" / "leo.json").write_text(text)
    (tmp_path / "extractor.json").write_text(text)
    for read in (read_description, read_extractor_metadata):
        with pytest.raises(InputError, match="is corrupt"):
            read(tmp_path)


@pytest.mark.parametrize(
    "wrong", [{"scale": [0, 1, 1]}, {"mean": ["x"] * 3}, {"image_size": 2.5}, {"resize_size": 10**9}]
)
def test_extractor_metadata_with_impossible_preprocessing(wrong):
    with pytest.raises(InputError, match="expected"):
        Preprocessing(**{"resize_size": 8, "image_size": 8} | wrong)


@pytest.mark.parametrize("dim", [10**12, 2**70, 0, "8"])
def test_data_records_of_impossible_dims(dim):
    with pytest.raises(InputError, match=r"embedding_dim .*expected a whole number from 1 to 1,000,000"):
        problem_of(RunConfig()).build_learner({"embedding_dim": dim})


@pytest.mark.parametrize("files", [[], {"a": 3}, {"\0": {}}, {"a": {"size": 1}}])
def test_invalid_records_of_downloads(tmp_path, files):
    (tmp_path / "embeddings.json").write_text(json.dumps({"files": files}))
    assert not _is_ready(tmp_path)


def test_metrics_with_a_row_that_is_too_long(tmp_path):
    RunDirectory(tmp_path).config_file.write_text(RunConfig().to_json())
    (tmp_path / "metrics.csv").write_text("step,loss\n40,1.0,2.0\n")
    with pytest.raises(InputError, match=r"metrics\.csv is corrupt"):
        progress_of(tmp_path)


def test_file_lists_with_a_very_long_name(tmp_path):
    (tmp_path / "train.csv").write_text(f"filename,label\n{'x' * 300}.png,a\n")
    with pytest.raises(InputError, match="names 1 files that do not exist"):
        find_images(tmp_path)


def claiming(width, height):
    """Return a PNG of a few bytes that declares this size."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")


def test_images_that_declare_more_than_they_hold():
    """100 bytes once took 1.8 GB of a server's memory."""
    with pytest.raises(UnreadableError, match=r"9999 x 9999 pixels, more than its [0-9]+ bytes can hold"):
        open_image(claiming(9999, 9999))
    with pytest.raises(tf.errors.InvalidArgumentError, match="declares more pixels than its bytes can hold"):
        squares_of(tf.constant([claiming(9999, 9999)]), Preprocessing(8, 8))


def test_extremely_compressed_images_are_read():
    """One bit per pixel and a single colour; several at once, which are decoded one after the other."""
    white, buffer = Image.new("1", (5000, 5000), 1), io.BytesIO()
    white.save(buffer, "PNG", compress_level=9)
    content = buffer.getvalue()
    assert 25e6 / len(content) > 2000  # pixels a byte
    loader = Loader(Preprocessing(8, 8))
    assert (loader.square(content) == 255).all()
    squares = squares_of(tf.constant([content] * 5), Preprocessing(8, 8))
    assert squares.shape == (5, 8, 8, 3) and bool(tf.reduce_all(squares == 255))
