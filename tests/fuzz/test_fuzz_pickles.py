"""Pickles of embeddings and images are read or refused, never executed, and need little memory."""

import io
import pickle
import struct
import time
from pathlib import Path

import numpy as np
import pytest
from fuzzing import EFFORT, corrupted, fuzz, little_memory, mutated, refusing
from hypothesis import strategies as st
from malicious_pickles import call, malicious_pickles, name, text

from leo_tf import InputError
from leo_tf.data.conversion import convert_in_memory
from leo_tf.data.readers import read_split
from leo_tf.data.safe_pickle import load_pickle
from leo_tf.features.images.archives import read_cache

pytestmark = pytest.mark.long

FIXTURES = Path(__file__).parents[1] / "data" / "fixtures"
ROWS = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
KEYS = [f"x-class{row % 3}-class{row % 3}_{row}" for row in range(6)]
PIXELS = np.arange(4 * 5 * 5 * 3, dtype=np.uint8).reshape(4, 5, 5, 3)


def written(content):
    """Return pickles of a content by every protocol."""
    return [pickle.dumps(content, protocol=protocol) for protocol in range(6)]


EMBEDDINGS = [
    *written({"embeddings": ROWS, "keys": KEYS}),
    *written({"embeddings": ROWS.T.copy().T, "labels": np.array(["a", "b"] * 3)}),
    *written({"embeddings": ROWS.astype(np.float64), "labels": [np.int64(1), 2, "c"] * 2}),
    *(path.read_bytes() for path in sorted(FIXTURES.glob("*.pkl"))),
]
IMAGES = [
    *written({"image_data": PIXELS, "class_dict": {"a": [0, 2], "b": [1, 3]}}),
    *written({"image_data": PIXELS, "class_dict": {"a": np.array([0, 1]), "b": (2, 3)}}),
]


@pytest.fixture
def file(tmp_path):
    """The path of a pickle."""
    return tmp_path / "train_embeddings.pkl"


def read_embeddings(path):
    rows = convert_in_memory([read_split(path)], True)
    assert np.isfinite(rows.embeddings).all() and sum(rows.class_sizes) == len(rows.embeddings)


def read_images(path):
    images, labels = read_cache(path)
    assert images.dtype == np.uint8 and len(labels) == len(images) and all(labels)


@EFFORT
@pytest.mark.parametrize(
    "read,originals", [(read_embeddings, EMBEDDINGS), (read_images, IMAGES)], ids=["rows", "images"]
)
def test_corrupted_pickles(file, read, originals, effort):
    def check(content):
        file.write_bytes(content)
        with little_memory(32e6), refusing():
            read(file)

    fuzz(corrupted(*originals), check, 250, effort)


def test_pythons_own_reader_executes_malicious_pickles(tmp_path):
    """Each of them creates its marker, so that a missing marker in the next test proves something."""
    for number, kind in enumerate(malicious_pickles("")):
        marker = tmp_path / f"marker{number}"
        content = io.BytesIO(malicious_pickles(marker)[kind] + pickle.STOP)
        try:
            pickle.load(content)
        except (TypeError, pickle.UnpicklingError) as error:
            pytest.fail(f"{kind}: {error}")
        until = time.monotonic() + 10
        while not marker.exists() and time.monotonic() < until:
            time.sleep(0.01)
        assert marker.exists(), kind


@EFFORT
def test_malicious_pickles_are_never_executed(file, tmp_path, effort):
    """As the whole content, as a dict's value or key, as a dtype or state, and more; unchanged and corrupted."""
    marker = tmp_path / "marker"
    malicious = list(malicious_pickles(marker).values())
    dtype = name("numpy\ndtype")
    places = [
        lambda code: code,
        lambda code: b"}" + text("embeddings") + code + b"s",
        lambda code: b"}" + code + text("rows") + b"s",
        lambda code: b"](" + code + b"e",
        lambda code: call(dtype, code, b"\x89", b"\x88"),
        lambda code: call(dtype, text("f4"), b"\x89", b"\x88") + code + b"b",
        lambda code: call(name("_codecs\nencode"), code, text("latin1")),
        lambda code: call(name("numpy.core.multiarray\n_reconstruct"), code, b"K\0\x85", text("b")),
        lambda code: EMBEDDINGS[2][:-1] + code,
    ]
    whole = [b"\x80\x04" + place(code) + pickle.STOP for code in malicious for place in places]

    def check(content):
        file.write_bytes(content)
        try:
            load_pickle(file)
        except InputError:
            pass
        else:
            assert content not in whole, content
        assert not marker.exists(), content

    for content in whole:
        check(content)
    fuzz(mutated(whole, most=2), check, 250, effort)


NAMES = [
    *("numpy.core.multiarray\n_reconstruct", "numpy.core.multiarray\nscalar", "numpy.core.numeric\n_frombuffer"),
    *("numpy\nndarray", "numpy\ndtype", "_codecs\nencode", "numpy._core.multiarray\n_reconstruct"),
    *("collections\nOrderedDict", "builtins\nlist", "copyreg\n_reconstructor", "numpy\nload"),
]


# A long text and the function that encodes it are in the memo, so that 5 bytes call it.
PREPARED = name("_codecs\nencode") + b"q\1" + b"(" + text("z" * 100_000) + text("latin1") + b"tq\2"
AGAIN = b"h\1h\2R"


def long_integer(value):
    return b"\x8a\x10" + value.to_bytes(16, "little", signed=True)


@st.composite
def programs(draw):
    """Draw random operations from pieces that the reader knows, some of them repeated many times."""
    integers = st.sampled_from([0, 1, 2, 5, 255, 2**31, 2**62, 2**100, -1])
    pieces = st.one_of(
        st.sampled_from([b"N", b"\x88", b"\x89", b"}", b"]", b")", b"(", b"t", b"l", b"d", b"\x85", b"\x86", b"\x87"]),
        st.sampled_from([b"a", b"e", b"s", b"u", b"b", b"R", b"\x94", b"0", b"2", b"1", b"Q", b"P1\n", b"\x82\1"]),
        integers.map(long_integer),
        st.sampled_from([b"I", b"L"]).flatmap(lambda op: st.sampled_from([b"1", b"01", b"9" * 50, b"x"]).map(
            lambda line: op + line + b"\n")),
        st.sampled_from(["a", "f4", "S9", "U3", "latin1", "embeddings", "<", "|", "x" * 100_000]).map(text),
        st.binary(max_size=40).map(lambda raw: b"C" + bytes([len(raw)]) + raw),
        st.sampled_from(NAMES).map(name),
        st.integers(0, 5).map(lambda index: b"q" + bytes([index])),
        st.integers(0, 5).map(lambda index: b"h" + bytes([index])),
        st.sampled_from([2**16, 2**31, 2**32 - 1]).map(lambda index: b"r" + struct.pack("<I", index)),
        st.just(call(name("numpy\ndtype"), text("f4"), b"\x89", b"\x88") + b"(K\3" + text("<") + b"NNNJ\xff\xff\xff\xff"
                     b"J\xff\xff\xff\xffK\0tb"),
        st.just(AGAIN),
        st.just(call(name("numpy.core.multiarray\n_reconstruct"), name("numpy\nndarray"), b"K\0\x85", text("b"))),
    )  # fmt: skip
    times = st.sampled_from([1, 1, 1, 1, 2, 2000])
    groups = st.lists(pieces, min_size=1, max_size=4).map(b"".join)
    drawn = draw(st.lists(st.tuples(groups, times), max_size=12))
    program = b"".join(group * (count if len(group) < 50 else min(count, 2)) for group, count in drawn)
    return b"\x80\x04" + draw(st.sampled_from([b"", PREPARED])) + program + b"."


@EFFORT
def test_random_programs(file, effort):
    def check(content):
        file.write_bytes(content)
        with little_memory(16e6 + 200 * len(content)), refusing():
            load_pickle(file)

    fuzz(programs(), check, 250, effort)


ONCE = text("z" * 999_999) + b"q\5"
ENCODE = name("_codecs\nencode") + b"q\1" + b"(" + ONCE + text("latin1") + b"tq\2"
STATE = b"(K\3" + text("|") + b"NNNI999999\nK\1K\0tb"
WIDE = call(name("numpy\ndtype"), text("S999999"), b"\x89", b"\x88") + STATE + b"q\1"
SCALAR = WIDE + name("numpy.core.multiarray\nscalar") + b"q\2" + b"(h\1" + ONCE + b"tq\3"


@pytest.mark.parametrize("prepared,repeated", [(ENCODE, AGAIN), (SCALAR, b"h\2h\3R")], ids=["encode", "scalar"])
def test_repeated_encoding_of_a_long_text(file, prepared, repeated):
    """Every 5 bytes of the file once took a megabyte of memory."""
    file.write_bytes(b"\x80\x02](" + prepared + repeated * 1000 + b"e.")
    with little_memory(50e6), pytest.raises(InputError, match="creates more than"):
        load_pickle(file)
