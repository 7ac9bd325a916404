"""NumPy files that are corrupted or declare what they do not hold are read or refused, in little memory."""

import io
import json
import pickle
import struct
import zipfile

import numpy as np
import pytest
from fuzzing import EFFORT, corrupted, fuzz, little_memory, refusing
from hypothesis import strategies as st

from leo_tf import EmbeddingTable
from leo_tf.classification.results import EvaluationResult
from leo_tf.classification.tasks import Tasks, draw_tasks
from leo_tf.data.conversion import convert_in_memory
from leo_tf.data.image_paths import image_paths
from leo_tf.data.readers import read_split
from leo_tf.evaluation import compare, seed_summary
from leo_tf.features.images.archives import read_arrays
from leo_tf.regression.results import RegressionResult

pytestmark = pytest.mark.long

MOST = 32e6  # bytes of memory
ROWS = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
LABELS = np.array(["a", "b", "c"] * 4)
TABLE = EmbeddingTable.from_arrays(ROWS, LABELS)
PIXELS = np.arange(2 * 5 * 5 * 3, dtype=np.uint8).reshape(2, 5, 5, 3)


def archives(**arrays):
    """Return npz files of the arrays, compressed and not."""
    found = []
    for write in (np.savez, np.savez_compressed):
        buffer = io.BytesIO()
        write(buffer, **arrays)
        found.append(buffer.getvalue())
    return found


def saved(result, tmp_path):
    result.save(tmp_path / "saved.npz")
    return (tmp_path / "saved.npz").read_bytes()


def array(values):
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


def finite(path):
    rows = convert_in_memory([read_split(path)], True)
    assert np.isfinite(rows.embeddings).all() and sum(rows.class_sizes) == len(rows.embeddings)


@EFFORT
def test_corrupted_archives_of_embeddings(tmp_path, effort):
    file = tmp_path / "own" / "train.npz"
    file.parent.mkdir()

    def check(content):
        file.write_bytes(content)
        with little_memory(MOST), refusing():
            image_paths(tmp_path, "own", "center", "train", TABLE)
        with little_memory(MOST), refusing():
            finite(file)

    paths = np.array([f"{n}.jpg" for n in range(12)])
    originals = [*archives(embeddings=ROWS, labels=LABELS), *archives(embeddings=ROWS, labels=LABELS, paths=paths)]
    fuzz(corrupted(*originals), check, 200, effort)


@EFFORT
def test_corrupted_arrays_of_embeddings(tmp_path, effort):
    (tmp_path / "train.json").write_text(json.dumps(LABELS.tolist()))

    def check(content):
        (tmp_path / "train.npy").write_bytes(content)
        with little_memory(MOST), refusing():
            finite(tmp_path / "train.npy")

    fuzz(corrupted(array(ROWS), array(ROWS.T.copy().T), array(ROWS.astype(np.float64))), check, 150, effort)


def result(tasks=5, baselines=("nearest class mean",), **more):
    rng = np.random.default_rng(tasks)
    numbers = {"ways": 3, "shots": 1, "queries": 2, "seed": 0, "stream": 3, "seconds": 1.0}
    texts = {"data_digest": "d", "tasks_digest": "t", "model_fingerprint": "m", "algorithm": "LEO"}
    return EvaluationResult(
        rng.random(tasks), rng.random(tasks), np.array(baselines), rng.random((len(baselines), tasks)),
        **numbers | texts | more,
    )  # fmt: skip


def regression_result(tasks=5, **more):
    rng = np.random.default_rng(tasks)
    known = {}
    for name, (kinds, rank) in RegressionResult.kinds().items():
        shape = {"ranks": (2, 10)}.get(name, (2, tasks) if rank == 2 else (2,))
        if rank:
            known[name] = np.arange(1, 3) if kinds.startswith(("i", "u")) and rank == 1 else rng.random(shape)
        else:
            known[name] = {"f": 1.0, "U": "t", "iu": 5}[kinds]
    return known | more


USES = {
    "text": str,
    "summary": lambda found: json.dumps(found.summary()),
    "compared": lambda found: compare(found, result(model_fingerprint="other"), 1),
    "over seeds": lambda found: seed_summary([found, result(model_fingerprint="other")], 1),
}


def use(found):
    """Use a result in every way."""
    for each in USES.values():
        with refusing():
            each(found)


@EFFORT
def test_corrupted_results_of_evaluations(tmp_path, effort):
    file = tmp_path / "evaluation.npz"

    def check(content):
        file.write_bytes(content)
        with little_memory(MOST), refusing():
            use(EvaluationResult.load(file))

    fuzz(corrupted(saved(result(), tmp_path), saved(result(2), tmp_path)), check, 100, effort)


@st.composite
def claimed(draw, fields):
    """Draw an npz file of the fields, with wrong types and shapes or wrong declarations of them."""
    content, written = io.BytesIO(), {}
    for name, value in fields.items():
        kind = draw(st.sampled_from(["as it is"] * 6 + ["left out", "other type", "other shape", "declared"]))
        value = np.asarray(value)
        if kind == "other type":
            value = draw(st.sampled_from([value.astype("U20"), value.astype("S20"), np.zeros(value.shape, bool),
                                          np.zeros(value.shape, "u8"), np.zeros(value.shape, "c8"),
                                          np.full(value.shape, np.nan), np.zeros(value.shape, "M8[s]")]))  # fmt: skip
        elif kind == "other shape":
            shape = draw(st.lists(st.sampled_from([0, 1, 2, 3, 5, 12]), max_size=4))
            value = np.resize(value, shape) if value.size else np.zeros(shape, value.dtype)
        if kind != "left out":
            raw = io.BytesIO()
            np.save(raw, value)
            written[name] = raw.getvalue()
        if kind == "declared":
            shape = tuple(draw(st.lists(st.sampled_from([0, 1, 12, 2**31, 2**40, 2**62, 2**64]), max_size=3)))
            kinds = st.sampled_from([value.dtype.str, "<f4", "<U999999999", "|V9", "|O", "<f4,<f4", "<f2"])
            header = {"descr": draw(kinds), "fortran_order": draw(st.booleans()), "shape": shape}
            line = repr(header).encode()
            start = struct.pack("<H", len(line) + 1)
            written[name] = b"\x93NUMPY\1\0" + start + line + b"\n" + value.tobytes()
    with zipfile.ZipFile(content, "w", draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))) as archive:
        for name, raw in written.items():
            archive.writestr(f"{name}.npy", raw)
    return content.getvalue()


@EFFORT
@pytest.mark.parametrize("what", ["embeddings", "images", "result", "regression", "tasks"])
def test_archives_of_other_types_and_shapes(tmp_path, what, effort):
    file = tmp_path / "some_images.npz"
    np.save(tmp_path / "labels.npy", [0, 1])
    (tmp_path / "labels.pkl").write_bytes(pickle.dumps({"labels": [0, 1]}))
    tasks = draw_tasks(TABLE, ways=2, shots=1, queries=2, num_tasks=3)
    tasks.save(tmp_path / "tasks.npz")
    with np.load(tmp_path / "tasks.npz") as archive:
        of_tasks = dict(archive)
    fields, read = {
        "embeddings": ({"embeddings": ROWS, "labels": LABELS}, finite),
        "images": ({"images": PIXELS}, lambda path: read_arrays(path, tmp_path / "labels.pkl")),
        "result": ({name: getattr(result(), name) for name in EvaluationResult.kinds()},
                   lambda path: use(EvaluationResult.load(path))),
        "regression": (regression_result(), lambda path: use(RegressionResult.load(path))),
        "tasks": (of_tasks, lambda path: Tasks.load(path, TABLE).rows),
    }[what]  # fmt: skip

    def check(content):
        file.write_bytes(content)
        with little_memory(MOST), refusing():
            read(file)

    fuzz(claimed(fields), check, 80, effort)
