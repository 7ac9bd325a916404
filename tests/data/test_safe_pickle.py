"""safe_pickle reads the pickles of NumPy and of Python 2, and refuses those of an attacker."""

import pickle
import random
import struct
from pathlib import Path

import numpy as np
import pytest

from leo_tf.data import safe_pickle
from leo_tf.data.safe_pickle import load_pickle
from leo_tf.errors import InputError

FIXTURES = Path(__file__).parent / "fixtures"
GLOBAL_ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"


def written(tmp_path, content: bytes) -> Path:
    path = tmp_path / "some.pkl"
    path.write_bytes(content)
    return path


def refuse(tmp_path, content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_pickle(written(tmp_path, content))
    assert "some.pkl" in str(caught.value)


class Calls:
    """Pickles as a call of a function with arguments."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


# What it reads


@pytest.mark.parametrize("name", ["py2_p0.pkl", "py2_p2.pkl"])
def test_reads_files_written_by_python2(name):
    content = load_pickle(FIXTURES / name)
    assert list(content) == ["keys", "labels", "embeddings"]
    assert content["keys"] == ["n01-1-a.jpg", "n01-2-b", "n02-3-c"]
    assert content["labels"] == [3, "uni"]
    assert type(content["labels"][0]) is np.int64
    assert content["embeddings"].dtype == np.float32
    np.testing.assert_array_equal(content["embeddings"], np.arange(12).reshape(3, 4))


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype=np.float16).reshape(2, 3)),
        np.arange(4, dtype=">i4"),
        np.array([True, False]),
        np.array(["ab", "ç"]),
        np.array([b"ab", b"c"]),
        np.random.default_rng(0).normal(size=(700, 300)),  # 1.7 MB: longer than safe_pickle._LARGE
    ],
    ids=["float64", "fortran", "bigendian", "bool", "text", "bytes", "large"],
)
def test_reads_arrays_of_every_protocol_as_pickle_does(tmp_path, array, protocol):
    content = load_pickle(written(tmp_path, pickle.dumps({"a": array, "again": [array]}, protocol)))
    np.testing.assert_array_equal(content["a"], array)
    assert content["a"].dtype == array.dtype
    assert content["again"][0] is content["a"]
    assert not content["a"].flags.writeable


@pytest.mark.parametrize("protocol", range(6))
def test_reads_plain_values_as_pickle_does(tmp_path, protocol):
    values = [
        0,
        -1,
        255,
        256,
        70000,
        2**40,
        -(2**70),
        1.5,
        float("inf"),
        None,
        True,
        False,
        "é\n'",
        "x" * 300,
        (),
        (1,),
    ]
    values += [(1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), {"a": {1: []}}, np.float32(0.5), np.str_("word"), "\udc80"]
    loaded = load_pickle(written(tmp_path, pickle.dumps(values, protocol)))
    assert loaded == values
    assert list(map(type, loaded)) == list(map(type, values))


def test_leaves_large_arrays_in_the_file(tmp_path):
    path = written(tmp_path, pickle.dumps(np.zeros(safe_pickle._LARGE + 1, np.int8), 4))
    base = load_pickle(path)
    while isinstance(base, np.ndarray):
        base = base.base
    assert isinstance(base, memoryview)


# What it refuses


@pytest.mark.parametrize(
    ("content", "asked"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", "'os.system'"),
        (b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.", "'builtins.eval'"),
        (pickle.dumps(Calls(getattr, "", "join")), "'builtins.getattr'"),
        (pickle.dumps(np.load), "'numpy.load'"),
        (b"cnumpy.core.multiarray\nfromfile\n.", "'numpy.core.multiarray.fromfile'"),
        (b"cnumpy\ncore.multiarray.fromfile\n.", "'numpy.core.multiarray.fromfile'"),
        (pickle.dumps(Calls(np.memmap, "/etc/passwd"), 2), "'numpy.memmap'"),
        (pickle.dumps({1, 2}, 2), "'__builtin__.set'"),
        (b"Pid\n.", "operation PERSID"),
        (b"I1\nQ.", "operation BINPERSID"),
        (b"\x82\x01.", "operation EXT1"),
        (b"\x83\x01\x00.", "operation EXT2"),
        (b"\x84\x01\x00\x00\x00.", "operation EXT4"),
        (b"(S'true'\nios\nsystem\n.", "operation INST"),
        (b"(cnumpy\ndtype\no.", "operation OBJ"),
        (b"cnumpy\nndarray\n(I1\nt\x81.", "operation NEWOBJ"),
        (b"cnumpy\nndarray\n)}\x92.", "operation NEWOBJ_EX"),
        (b"\x97.", "operation NEXT_BUFFER"),
        (b"cnumpy\nndarray\n)R.", "a call of something that is not a function"),
        (b"S'os'\n)R.", "a call of something that is not a function"),
        (b"cnumpy\ndtype\n}S'call'\nI1\nsb.", "a change of the attributes"),
        (b"}}S'a'\nI1\nsb.", "a change of the attributes"),
        (b"I1\nI2\n\x93.", "a name that is not a string"),
    ],
)
def test_refuses_everything_but_data_and_names_it(tmp_path, content, asked):
    refuse(tmp_path, content, f"the pickle asks for .*{asked}.*nothing was executed")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([{}, None]), "dtype 'O8', not of numbers or strings"),
        (np.zeros(2, [("a", "f4")]), "dtype 'V4'"),
        (np.zeros(2, "M8[s]"), "dtype 'M8'"),
        (np.zeros(2, np.complex64), "dtype 'c8'"),
    ],
)
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_refuses_dtypes_that_are_no_numbers_or_strings(tmp_path, array, message, protocol):
    refuse(tmp_path, pickle.dumps(array, protocol), message)


def test_refuses_a_dtype_turned_into_objects_by_its_state(tmp_path):
    dtype = b"cnumpy\ndtype\n(S'f8'\nI0\nI1\ntR(I3\nS'<'\n%sNNI-1\nI-1\nI0\ntb."
    assert load_pickle(written(tmp_path, dtype % b"N")) == np.float64
    refuse(tmp_path, dtype % b"(S'O'\nI1\nt", "dtype 'f8' has an unexpected state")
    refuse(tmp_path, dtype.replace(b"'<'", b"'<O'") % b"N", "unexpected byte order")
    refuse(tmp_path, dtype.replace(b"'f8'", b"'f8,O'") % b"N", "dtype 'f8,O'")
    refuse(tmp_path, dtype.replace(b"'f8'", b"'S0'") % b"N", "dtype 'S0'")


def array_with(shape: bytes, raw: bytes, dtype: bytes = b"f8") -> bytes:
    made = b"cnumpy\ndtype\n(S'%s'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb" % dtype
    return GLOBAL_ARRAY + b"(I1\n" + shape + made + b"I00\nS'" + raw + b"'\ntb."


def test_refuses_arrays_whose_bytes_do_not_fit_their_shape(tmp_path):
    assert load_pickle(written(tmp_path, array_with(b"(I1\nt", rb"\x00\x00\x00\x00\x00\x00\xf0?"))) == [1.0]
    refuse(
        tmp_path,
        array_with(b"(I1000000000000\nI640\nt", rb"\x00"),
        "6.4e.14 items .* with 1 bytes",
    )
    refuse(tmp_path, array_with(b"(I-1\nI-1\nt", b"12345678"), "impossible shape")
    refuse(tmp_path, array_with(b"(F1.0\nt", b"12345678"), "impossible shape")
    refuse(tmp_path, array_with(b"(" + b"I1\n" * 9 + b"t", b"12345678"), "impossible shape")
    refuse(tmp_path, array_with(b"(I0\nI9223372036854775807\nI2\nt", b""), "corrupt one")
    refuse(tmp_path, array_with(b"(I1\nt", rb"\xff\xff\xff\xff", dtype=b"U1"), "not characters")


def test_refuses_subclasses_and_half_made_arrays(tmp_path):
    refuse(
        tmp_path,
        GLOBAL_ARRAY.replace(b"cnumpy\nndarray\n", b"cnumpy\ndtype\n") + b".",
        "another class",
    )
    refuse(tmp_path, GLOBAL_ARRAY + b".", "incomplete at its end")
    refuse(tmp_path, GLOBAL_ARRAY + b"p0\ng0\n\x86.", "object 0 before that exists")
    refuse(tmp_path, b"c_codecs\nencode\n(S'a'\nS'rot13'\ntR.", "encodes something other")
    refuse(tmp_path, b"cnumpy\ndtype\n)R.", "wrong number of arguments")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"<!DOCTYPE html>", "byte 0 is b'<', which is not an operation"),
        (b"\x80\x02]q\x00(", "truncated at byte 6"),
        (b"\x80\x04]", "truncated at byte 3"),
        (b"S'abc", "no newline found"),
        (b"I1\nI2\n.", "incomplete at its end"),
        (b"(I1\n.", "incomplete at its end"),
        (b"h\x05.", "object 5 before that exists"),
        (b"I1\nI2\na.", "appends to something that is not a list"),
        (b"}I1\ns.", "corrupt one"),
        (b"\x8c\x01\xff.", "'utf-8' codec"),
        (b"I" + b"9" * 5000 + b"\n.", "corrupt one"),
        (b"Snone\n.", "no quotes"),
    ],
)
def test_refuses_corrupt_files(tmp_path, content, message):
    refuse(tmp_path, content, message)


def test_refuses_missing_files_and_folders(tmp_path):
    with pytest.raises(InputError, match=r"gone\.pkl: cannot be read: No such file"):
        load_pickle(tmp_path / "gone.pkl")
    with pytest.raises(InputError, match="Is a directory"):
        load_pickle(tmp_path)


@pytest.mark.parametrize("operation", [pickle.BINBYTES8, pickle.BINUNICODE8, pickle.BYTEARRAY8])
def test_promised_terabytes_take_no_memory(tmp_path, operation):
    refuse(tmp_path, operation + struct.pack("<Q", 2**50) + b"x.", "truncated at byte 11|only 2 remain")


def test_a_memo_index_of_four_billion_takes_no_memory(tmp_path):
    assert load_pickle(written(tmp_path, b"]r\xff\xff\xff\xff.")) == []


def test_keys_that_hash_for_ever_are_refused(tmp_path):
    nested = b"I0\n\x85p0\n" + b"g0\n\x86p0\n" * 60  # 2^60 tuples to visit
    refuse(tmp_path, b"}" + nested + b"I1\ns.", "neither string nor integer")


def test_any_damage_ends_in_a_result_or_an_input_error(tmp_path):
    content = {"embeddings": np.eye(3, dtype=np.float32), "keys": ["a-b-c"], "labels": [np.int64(1), 2.5, (1, None)]}
    originals = [(FIXTURES / name).read_bytes() for name in ("py2_p0.pkl", "py2_p2.pkl")]
    originals += [pickle.dumps(content, protocol) for protocol in range(6)]
    rng = random.Random(0)
    refused = 0
    for _ in range(3000):
        damaged = bytearray(rng.choice(originals))
        for _ in range(rng.randint(1, 3)):
            position = rng.randrange(len(damaged))
            if rng.random() < 0.5:
                damaged[position] = rng.randrange(256)
            else:
                damaged[position : position + rng.randint(0, 3)] = rng.choice(
                    [b"", b"(", b"R", b"b", b"0", b"\x85", b"h\x01"]
                )
        try:
            load_pickle(written(tmp_path, bytes(damaged)))
        except InputError:
            refused += 1
    assert 1500 < refused < 3000
