"""Small files that declare large contents are refused before they cost time or memory."""

import struct
import time
import tracemalloc
import zipfile

import numpy as np
import pytest

from leo_tf.data.conversion import convert_in_memory
from leo_tf.data.readers import read_split
from leo_tf.errors import InputError
from leo_tf.files import npz

pytestmark = pytest.mark.long

MANY = 40_000


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def pickle_of_references(first, name):
    """A pickled dict with MANY references to one object, and an embedding for each."""
    import pickle

    array = pickle.dumps(np.zeros((MANY, 1), np.float32), protocol=2)[2:-1]
    memo = struct.pack("<I", 2**16)
    references = b"](" + (b"j" + memo) * MANY + b"e"
    return (
        b"\x80\x03}("
        + text("first")
        + first
        + b"r"
        + memo
        + text("embeddings")
        + array
        + text(name)
        + references
        + b"u."
    )


def archive(path, **arrays):
    """Write an npz file of zeros: {name: (declared shape, dtype, actual bytes)}."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as content:
        for name, (shape, dtype, size) in arrays.items():
            with content.open(f"{name}.npy", "w", force_zip64=True) as file:
                header = {"descr": dtype, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
                for _ in range(0, size, 2**22):
                    file.write(bytes(min(size, 2**22)))
    return path


def refused(read, message):
    """Assert that reading is refused; return this thread's CPU seconds and the peak of memory in bytes."""
    tracemalloc.start()
    start = time.thread_time()
    with pytest.raises(InputError, match=message):
        read()
    seconds, peak = time.thread_time() - start, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return seconds, peak


@pytest.mark.parametrize(
    "first,name",
    [
        (text("x-" + "a" * 1_000_000 + "-y"), "keys"),
        (b"B" + struct.pack("<I", 1_000_000) + b"x-" + b"a" * 999_996 + b"-y", "keys"),
        (text("a" * 1_000_000), "labels"),
    ],
    ids=["keys", "bytes", "labels"],
)
def test_one_huge_name_for_every_row(tmp_path, first, name):
    """Splitting 200,000 references to one string of 1 MB once took 40 seconds and 11 GB."""
    path = tmp_path / "train_embeddings.pkl"
    path.write_bytes(pickle_of_references(first, name))
    seconds, peak = refused(lambda: convert_in_memory([read_split(path)], True), "key|label")
    assert seconds < 5 and peak < 100e6


@pytest.mark.parametrize(
    "embeddings,labels,message",
    [
        (((200_000, 1000), "<f4", 800_000_000), ((4,), "<i4", 16), "expand to 80.* which numbers never do"),
        (((10**9, 1000), "<f4", 1000), ((4,), "<i4", 16), "declares float32 .* but holds"),
        (((4, 2), "<f4", 32), ((4,), "<U2000", 4 * 8000), "holds strings of 8000 bytes, expected at most 4000"),
    ],
    ids=["bomb", "claim", "wide labels"],
)
def test_archives_that_declare_large_arrays(tmp_path, embeddings, labels, message):
    path = archive(tmp_path / "train.npz", embeddings=embeddings, labels=labels)
    seconds, peak = refused(lambda: read_split(path), message)
    assert seconds < 5 and peak < 50e6


def test_results_that_declare_large_arrays(tmp_path):
    path = archive(tmp_path / "evaluation.npz", task_accuracy=((10**8,), "<f8", 800_000_000))
    seconds, peak = refused(lambda: npz.read(path, "a result", task_accuracy=("f", 1)), "which numbers never do")
    assert seconds < 5 and peak < 50e6


def test_deeply_nested_labels(tmp_path):
    np.save(tmp_path / "train.npy", np.zeros((3, 2), np.float32))
    (tmp_path / "train.json").write_text("[" * 100_000)
    refused(lambda: read_split(tmp_path / "train.npy"), "train.json is corrupt")


def test_compressed_zeros_of_a_normal_size_are_read(tmp_path):
    np.savez_compressed(tmp_path / "train.npz", embeddings=np.zeros((5000, 64)), labels=np.arange(5000) % 9)
    assert read_split(tmp_path / "train.npz").embeddings.shape == (5000, 64)
