"""The cache converts once and then maps the rows from disk; an invalid entry only costs another conversion."""

import errno
import json
import logging
import os
from pathlib import Path

import numpy as np
import pytest

from leo_tf.data import cache, conversion
from leo_tf.data.cache import cache_folder, load_grouped
from leo_tf.errors import InputError

EMBEDDINGS = np.array([[3, 4], [0, 0], [-5, 12], [8, 6]], np.float16)
LABELS = ["b", "a", "a", "b"]
UNIT = np.array([[0, 0], [-5 / 13, 12 / 13], [0.6, 0.8], [0.8, 0.6]], np.float32)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "data" / "train.npz"
    path.parent.mkdir()
    np.savez(path, embeddings=EMBEDDINGS, labels=LABELS)
    return path


@pytest.fixture
def reads(monkeypatch):
    """The sources that were read, in order."""
    read: list[Path] = []
    monkeypatch.setattr(
        cache, "read_split", lambda path, read_split=cache.read_split: (read.append(path), read_split(path))[1]
    )
    return read


@pytest.fixture
def warnings():
    messages: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())
    logging.getLogger("leo_tf").addHandler(handler)
    yield messages
    logging.getLogger("leo_tf").removeHandler(handler)


def the(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


def test_converts_once_and_maps_afterwards(source, tmp_path, reads):
    first = load_grouped([source], True, tmp_path / "cache")
    second = load_grouped([source], True, tmp_path / "cache")
    assert reads == [source]
    for result in (first, second):
        np.testing.assert_array_equal(result.embeddings, UNIT)
        assert result.embeddings.dtype == np.float32
        assert result.embeddings.base.mode == "c"  # a mapped file that cannot be changed through the array
        assert (result.class_names, result.class_sizes) == (("a", "b"), (2, 2))
    assert first.digest == second.digest
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_equals_conversion_in_memory(source, tmp_path):
    split = cache.read_split(source)
    for normalize in (True, False):
        kept, held = load_grouped([source], normalize, tmp_path), conversion.convert_in_memory([split], normalize)
        np.testing.assert_array_equal(kept.embeddings, held.embeddings)
        assert kept[1:] == held[1:]


def test_keeps_normalised_and_raw_rows_apart(source, tmp_path, reads):
    np.testing.assert_array_equal(load_grouped([source], False, tmp_path / "c").embeddings, EMBEDDINGS[[1, 2, 0, 3]])
    np.testing.assert_array_equal(load_grouped([source], True, tmp_path / "c").embeddings, UNIT)
    np.testing.assert_array_equal(load_grouped([source], False, tmp_path / "c").embeddings, EMBEDDINGS[[1, 2, 0, 3]])
    assert len(reads) == 2


def test_joins_sources(source, tmp_path, reads):
    other = source.with_name("val.npz")
    np.savez(other, embeddings=[[1.0, 0.0]], labels=["0"])
    for _ in range(2):
        joined = load_grouped([source, other], True, tmp_path / "c")
        np.testing.assert_array_equal(joined.embeddings, [*UNIT, [1, 0]])
        assert (joined.class_names, joined.class_sizes) == (("a", "b", "0"), (2, 2, 1))
    assert reads == [source, other]
    with pytest.raises(InputError, match="2 of its classes are in the other splits too, the first is 'a'"):
        load_grouped([source, source], True, tmp_path / "c")
    np.savez(other, embeddings=[[1.0]], labels=["0"])
    with pytest.raises(InputError, match="embeddings of dim 1; expected 2"):
        load_grouped([source, other], True, tmp_path / "c")
    assert not list((tmp_path / "c").glob("*.tmp"))


def test_converts_again_when_the_source_changes(source, tmp_path, reads):
    folder = tmp_path / "c"
    old = load_grouped([source], True, folder)
    np.savez(source, embeddings=-EMBEDDINGS, labels=LABELS)
    os.utime(source, ns=(0, 1))  # same size: the time tells
    np.testing.assert_array_equal(load_grouped([source], True, folder).embeddings, -UNIT)
    np.testing.assert_array_equal(old.embeddings, UNIT)  # a run that still uses the old rows keeps them
    assert len(list(folder.iterdir())) == 2
    assert len(reads) == 2


def test_converts_again_when_a_file_of_the_same_size_and_time_replaces_the_source(source, tmp_path):
    status = source.stat()
    load_grouped([source], True, tmp_path / "c")
    other = tmp_path / "other.npz"
    np.savez(other, embeddings=-EMBEDDINGS, labels=LABELS)
    assert other.stat().st_size == status.st_size
    other.replace(source)
    os.utime(source, ns=(0, status.st_mtime_ns))
    np.testing.assert_array_equal(load_grouped([source], True, tmp_path / "c").embeddings, -UNIT)


def test_converts_again_when_the_labels_of_an_npy_change(tmp_path):
    np.save(tmp_path / "train.npy", EMBEDDINGS)
    for labels in (LABELS, ["other", *LABELS[1:]]):
        (tmp_path / "train.json").write_text(json.dumps(labels))
        assert set(load_grouped([tmp_path / "train.npy"], True, tmp_path / "c").class_names) == set(labels)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize(
    "corrupt",
    [
        lambda folder: the(folder, "*.json").unlink(),
        lambda folder: the(folder, "*.json").write_text("{"),
        lambda folder: the(folder, "*.json").write_text("[]"),
        lambda folder: the(folder, "*.json").write_text(the(folder, "*.json").read_text().replace("[2, 2]", "[2, 3]")),
        lambda folder: the(folder, "*.json").write_text(
            the(folder, "*.json").read_text().replace('"dim": 2', '"dim": 4')
        ),
        lambda folder: the(folder, "*.npy").unlink(),
        lambda folder: the(folder, "*.npy").write_bytes(b""),
        lambda folder: the(folder, "*.npy").write_bytes(the(folder, "*.npy").read_bytes()[:-1]),
        lambda folder: the(folder, "*.npy").write_bytes(b"garbage" * 99),
        lambda folder: np.save(the(folder, "*.npy"), np.zeros((4, 2), np.float64)),
    ],
)
def test_recreates_a_corrupt_entry(source, tmp_path, reads, warnings, corrupt, normalize):
    folder = tmp_path / "c"
    whole = load_grouped([source], normalize, folder)
    expected = np.array(whole.embeddings)
    corrupt(folder)
    again = load_grouped([source], normalize, folder)
    np.testing.assert_array_equal(again.embeddings, expected)
    assert again[1:] == whole[1:]
    assert len(reads) == 2 and not warnings
    load_grouped([source], normalize, folder)
    assert len(reads) == 2


def test_keeps_rows_in_memory_if_the_cache_cannot_be_written(source, tmp_path, warnings):
    (tmp_path / "file").write_text("in the way")
    result = load_grouped([source], True, tmp_path / "file")
    np.testing.assert_array_equal(result.embeddings, UNIT)
    assert len(warnings) == 1
    assert "kept in memory" in warnings[0]


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_keeps_rows_in_memory_if_the_disk_is_full(source, tmp_path, warnings, monkeypatch, moment):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, moment, full)
    np.testing.assert_array_equal(load_grouped([source], True, tmp_path / "c").embeddings, UNIT)
    assert len(warnings) == 1
    assert "No space left on device" in warnings[0]
    assert not list((tmp_path / "c").iterdir())


def test_leaves_nothing_behind_when_the_source_is_bad(tmp_path):
    np.savez(tmp_path / "train.npz", embeddings=EMBEDDINGS, labels=["a", "", "b", "b"])
    with pytest.raises(InputError, match="label ''; expected a non-empty string"):
        load_grouped([tmp_path / "train.npz"], True, tmp_path / "c")
    assert not list((tmp_path / "c").iterdir())


def test_removes_temporary_files_of_a_killed_process(source, tmp_path):
    folder = tmp_path / "c"
    load_grouped([source], True, folder)
    entry = the(folder, "*.json")
    left, fresh = (entry.with_name(f"{the(folder, '*.npy').name}.{name}.tmp") for name in ("left", "fresh"))
    left.touch()
    fresh.touch()
    os.utime(left, (0, 0))
    entry.unlink()
    load_grouped([source], True, folder)
    assert not left.exists() and fresh.exists()


def test_chunk_size_does_not_matter(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "train.npz", embeddings=rng.normal(size=(100, 5)), labels=rng.integers(0, 9, 100))
    whole = load_grouped([tmp_path / "train.npz"], True, tmp_path / "1")
    monkeypatch.setattr(conversion, "ROWS_AT_ONCE", 7)
    pieces = load_grouped([tmp_path / "train.npz"], True, tmp_path / "2")
    np.testing.assert_array_equal(pieces.embeddings, whole.embeddings)
    assert pieces[1:] == whole[1:]


def test_cache_folder_follows_the_user(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == cache_folder("") == Path("/somewhere/leo_tf")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert cache_folder() == Path("/home/me/.cache/leo_tf")
    assert cache_folder("~/kept") == Path("/home/me/kept")


@pytest.mark.parametrize("keep_time", [False, True])
def test_a_flipped_byte_is_detected_and_repaired(source, tmp_path, reads, warnings, keep_time):
    """Training must not use changed rows under the digest of the original ones."""
    cached = tmp_path / "cache"
    digest = load_grouped([source], True, cached).digest
    rows_file = the(cached, "*.npy")
    status, content = rows_file.stat(), bytearray(rows_file.read_bytes())
    content[-3] ^= 1
    rows_file.write_bytes(content)
    if keep_time:
        os.utime(rows_file, ns=(status.st_atime_ns, status.st_mtime_ns))
    again = load_grouped([source], True, cached)
    np.testing.assert_array_equal(again.embeddings, UNIT)
    assert again.digest == digest and reads == [source, source]
    assert any("is corrupt; it is created again" in message for message in warnings)
    assert load_grouped([source], True, cached).digest == digest and len(reads) == 2


def test_another_user_reads_a_shared_cache_without_converting(source, tmp_path, reads, warnings):
    """Cache files are readable to others, and a read-only folder does not force a conversion."""
    cached = tmp_path / "cache"
    before = os.umask(0o022)
    try:
        load_grouped([source], True, cached)
    finally:
        os.umask(before)
    assert all(file.stat().st_mode & 0o044 == 0o044 for file in cached.iterdir())
    cached.chmod(0o555)
    try:
        load_grouped([source], True, cached)
    finally:
        cached.chmod(0o755)
    assert reads == [source] and not warnings
