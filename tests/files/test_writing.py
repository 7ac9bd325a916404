"""Small files: whole or not at all, with the user's modes, and one message where they cannot be written."""

import os
import stat
from pathlib import Path

import pytest

from leo_tf import InputError
from leo_tf.files import expanded, read_json, replace_file, require_writable, write_json, write_text


@pytest.mark.parametrize("umask,mode", [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_files_have_the_mode_that_the_umask_gives(tmp_path, umask, mode):
    """They were 0600 whatever the umask: colleagues could not read a run."""
    before = os.umask(umask)
    try:
        for _ in range(2):  # new, and replaced
            write_text(tmp_path / "file", "text")
            assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode
    finally:
        os.umask(before)


def test_a_block_that_raises_leaves_what_was_there(tmp_path):
    write_text(tmp_path / "file", "before")
    with pytest.raises(KeyError), replace_file(tmp_path / "file") as file:
        file.write(b"half")
        raise KeyError
    assert (tmp_path / "file").read_text() == "before" and os.listdir(tmp_path) == ["file"]


def test_json_there_and_back(tmp_path):
    write_json(tmp_path / "new" / "file.json", {"a": [1, None]})
    assert read_json(tmp_path / "new" / "file.json", "a dict") == {"a": [1, None]}


@pytest.mark.parametrize("content", [b"\xff\xfe", b"{", b"[" * 100_000])
def test_what_is_no_json_is_refused(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(InputError, match=r"file is damaged or something else .*; expected a thing"):
        read_json(tmp_path / "file", "a thing")
    with pytest.raises(InputError, match=r"Cannot read .*none .*No such file.*; expected a thing"):
        read_json(tmp_path / "none", "a thing")


def test_paths_that_cannot_be_written_are_found_before_the_work(tmp_path):
    (tmp_path / "file").write_text("in the way")
    for path, message in (
        (tmp_path, "it is a folder"),
        (tmp_path / "file" / "below.json", "file is no folder"),
    ):
        with pytest.raises(InputError, match=message):
            require_writable(path)
        with pytest.raises(InputError, match="Cannot write"):
            write_json(path, {})
    require_writable(tmp_path / "new" / "folder" / "file.json")
    assert os.listdir(tmp_path) == ["file"]


def test_devices_are_not_replaced_by_files(tmp_path):
    """As root, --output=/dev/null made a file of it."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=r"pipe \(it is no regular file\); give the name of a file"):
        require_writable(tmp_path / "pipe")


def test_home_folders(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expanded("~/run") == tmp_path / "run"
    with pytest.raises(InputError, match=r"Got ~no-such-user/run \(.*\); expected a path"):
        expanded("~no-such-user/run")


@pytest.mark.parametrize("path", ["gs://bucket/run", "s3://bucket", "hdfs://host/run", Path("https://host/run")])
def test_stores_are_refused_with_what_to_do(path):
    with pytest.raises(InputError, match=r"Got \w+:/.*; expected a path in a POSIX file system.*gsutil or aws s3"):
        expanded(path)
