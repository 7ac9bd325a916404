"""Small files are written atomically, with the mode of the umask; errors name the file."""

import os
import stat
from pathlib import Path

import pytest

from leo_tf import InputError
from leo_tf.files import expanded, read_json, replace_file, require_writable, write_json, write_text


@pytest.mark.parametrize("umask,mode", [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_files_have_the_mode_that_the_umask_gives(tmp_path, umask, mode):
    """They were once always 0600, so that other users could not read a run."""
    before = os.umask(umask)
    try:
        for _ in range(2):  # new, and replaced
            write_text(tmp_path / "file", "text")
            assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode
    finally:
        os.umask(before)


def test_an_exception_leaves_the_old_file(tmp_path):
    write_text(tmp_path / "file", "before")
    with pytest.raises(KeyError), replace_file(tmp_path / "file") as file:
        file.write(b"half")
        raise KeyError
    assert (tmp_path / "file").read_text() == "before" and os.listdir(tmp_path) == ["file"]


def test_json_round_trip(tmp_path):
    write_json(tmp_path / "new" / "file.json", {"a": [1, None]})
    assert read_json(tmp_path / "new" / "file.json", "a dict") == {"a": [1, None]}


@pytest.mark.parametrize("content", [b"\xff\xfe", b"{", b"[" * 100_000, b"[]", b"3"])
def test_refuses_invalid_json(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(InputError, match=r"file is corrupt .*; expected a thing"):
        read_json(tmp_path / "file", "a thing")
    with pytest.raises(InputError, match=r"Cannot read .*none .*No such file.*; expected a thing"):
        read_json(tmp_path / "none", "a thing")


def test_require_writable_refuses_folders_and_impossible_paths(tmp_path):
    (tmp_path / "file").write_text("in the way")
    for path, message in (
        (tmp_path, "it is a folder"),
        (tmp_path / "file" / "below.json", "file is not a folder"),
    ):
        with pytest.raises(InputError, match=message):
            require_writable(path)
        with pytest.raises(InputError, match="Cannot write"):
            write_json(path, {})
    require_writable(tmp_path / "new" / "folder" / "file.json")
    assert os.listdir(tmp_path) == ["file"]


def test_require_writable_refuses_devices(tmp_path):
    """As root, --output=/dev/null once replaced the device by a file."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=r"pipe \(it is not a regular file\); give the name of a file"):
        require_writable(tmp_path / "pipe")


def test_expanded_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expanded("~/run") == tmp_path / "run"
    with pytest.raises(InputError, match=r"Got ~no-such-user/run \(.*\); expected a path"):
        expanded("~no-such-user/run")


@pytest.mark.parametrize("path", ["gs://bucket/run", "s3://bucket", "hdfs://host/run", Path("https://host/run")])
def test_refuses_object_stores_and_says_what_to_do(path):
    with pytest.raises(InputError, match=r"Got \w+:/.*; expected a path in a POSIX file system.*gsutil or aws s3"):
        expanded(path)
