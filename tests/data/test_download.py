"""Downloads from a local server that misbehaves like real ones."""

import io
import json
import os
import pickle
import socket
import stat
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from leo_tf.data import EmbeddingTable, download, transfer
from leo_tf.data.download import provide_published
from leo_tf.errors import InputError

CLASSES = {
    "miniImageNet": {"train": 64, "val": 16, "test": 20},
    "tieredImageNet": {"train": 351, "val": 97, "test": 160},
}


class Server:
    """Serves one body. `cut` has, per request, the number of bytes to hang up after; `log` the requested ranges."""

    def __init__(self):
        self.body = b""
        self.headers = {"ETag": '"1"'}
        self.ranges = True
        self.status = 200
        self.cut: list[int] = []
        self.log: list[str | None] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                asked = self.headers.get("Range")
                server.log.append(asked)
                body, status, headers = server.body, server.status, dict(server.headers)
                if asked and server.ranges and self.headers.get("If-Range") == headers.get("ETag"):
                    start = int(asked.removeprefix("bytes=").removesuffix("-"))
                    headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
                    body, status = body[start:], 206 if start < len(body) else 416
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body[: server.cut.pop(0)] if server.cut else body)

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/embeddings.zip"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


def archive_of(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


def pickled(classes: int, dim: int = 640, value: float = 1.0) -> bytes:
    keys = [f"x-n{number}-n{number}_0" for number in range(classes)]
    return pickle.dumps({"embeddings": np.full((classes, dim), value, np.float32), "keys": keys}, 2)


@pytest.fixture(scope="module")
def published() -> bytes:
    """A small archive with the class counts of the published one, in a leading folder as there."""
    names = [("miniImageNet", "center"), ("miniImageNet", "multiview"), ("tieredImageNet", "center")]
    files = {
        f"embeddings/{name}/{crop}/{split}_embeddings.pkl": pickled(count)
        for name, crop in names
        for split, count in CLASSES[name].items()
    }
    return archive_of({"embeddings/": b"", "embeddings/README": b"", "__MACOSX/miniImageNet/center/._x": b"", **files})


@pytest.fixture
def server(published, monkeypatch):
    server = Server()
    server.body = published
    monkeypatch.setattr(download, "URL", server.url)
    monkeypatch.setattr(transfer, "SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(transfer, "CHUNK", 10)
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def refuse(cache, message: str) -> None:
    with pytest.raises(InputError, match=message):
        provide_published(cache)
    assert not (cache / "embeddings" / "data").exists()
    assert not list((cache / "embeddings").glob("unpacking*"))


# The transfer


def test_fetches_unpacks_and_records_once(server, cache):
    data = provide_published(cache)
    assert data == cache / "embeddings" / "data"
    assert sorted(str(path.relative_to(data)) for path in data.rglob("*.pkl")) == [
        f"{name}/{split}_embeddings.pkl"
        for name in ("miniImageNet/center", "miniImageNet/multiview", "tieredImageNet/center")
        for split in ("test", "train", "val")
    ]
    files = json.loads((cache / "embeddings" / "embeddings.json").read_text())["files"]
    assert len(files) == 10
    assert len(files["embeddings.zip"]["sha256"]) == 64
    assert provide_published(cache) == provide_published(cache, download=False) == data
    assert server.log == [None]
    assert sorted(path.name for path in data.parent.iterdir()) == ["data", "embeddings.json", "embeddings.zip", "lock"]


def test_load_fetches_what_is_missing(server, cache, tmp_path):
    for data_path in (None, "", tmp_path / "nothing-here"):
        table = EmbeddingTable.load(data_path, "miniImageNet", "val", embedding_crop="multiview", cache_dir=cache)
        assert (table.num_classes, table.dim, table.num_rows) == (16, 640, 16)
    assert server.log == [None]
    assert EmbeddingTable.load(None, "tieredImageNet", "test", cache_dir=cache, download=False).num_classes == 160
    with pytest.raises(InputError, match=r"no multiview embeddings of tieredImageNet val. Use embedding_crop=center"):
        EmbeddingTable.load(None, "tieredImageNet", "val", embedding_crop="multiview", cache_dir=cache)


def test_load_prefers_the_files_of_data_path(server, cache, tmp_path):
    path = tmp_path / "data" / "miniImageNet" / "center" / "val_embeddings.pkl"
    path.parent.mkdir(parents=True)
    path.write_bytes(pickled(3, dim=5))
    assert EmbeddingTable.load(tmp_path / "data", "miniImageNet", "val", cache_dir=cache).num_classes == 3
    assert server.log == []


def test_resumes_after_a_broken_connection(server, cache):
    server.cut = [1000, 2500]
    assert provide_published(cache)
    assert server.log == [None, "bytes=1000-", "bytes=3500-"]


def test_a_later_start_resumes_too(server, cache):
    server.cut = [1000] + [10] * 4
    refuse(cache, r"incomplete after 5 attempts.*embeddings.zip.part; repeat the command to resume")
    assert (cache / "embeddings" / "embeddings.zip.part").stat().st_size == 1040
    assert provide_published(cache)
    assert server.log[-1] == "bytes=1040-"


def test_starts_again_when_the_archive_is_another_version(server, cache, published):
    server.body, server.headers, server.cut = b"x" * len(published), {"ETag": '"0"'}, [1000] * 5
    refuse(cache, "incomplete after 5 attempts")
    server.body, server.headers = published, {"ETag": '"1"'}
    assert provide_published(cache)
    assert (cache / "embeddings" / "embeddings.zip").read_bytes() == published


@pytest.mark.parametrize("headers", [{"ETag": '"1"'}, {"ETag": 'W/"1"'}, {}])
def test_starts_again_on_a_server_without_ranges(server, cache, headers):
    server.ranges, server.headers, server.cut = False, headers, [1000, 2000]
    assert provide_published(cache)
    assert server.log == [None, *(["bytes=1000-", "bytes=2000-"] if headers == {"ETag": '"1"'} else [None, None])]


def test_starts_again_if_the_part_is_longer_than_the_file(server, cache):
    part = cache / "embeddings" / "embeddings.zip.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"y" * (len(server.body) + 5))
    part.with_name("embeddings.zip.part.json").write_text(json.dumps({"url": server.url, "version": '"1"'}))
    assert provide_published(cache)
    assert server.log == [f"bytes={len(server.body) + 5}-", None]


def test_retries_a_busy_server_and_reports_a_missing_file(server, cache):
    server.status = 503
    refuse(cache, "incomplete after 5 attempts; the last error was: the server answered 503")
    assert len(server.log) == 5
    server.status = 404
    refuse(cache, "the server answered 404 Not Found; expected the archive")
    assert len(server.log) == 6


def test_without_a_network_the_message_says_what_to_do(monkeypatch, cache, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"http://127.0.0.1:{closed.getsockname()[1]}/embeddings.zip"
    monkeypatch.setattr(download, "URL", address)
    monkeypatch.setattr(transfer.time, "sleep", lambda seconds: pytest.fail("waits for a network that is not there"))
    with pytest.raises(InputError) as caught:
        EmbeddingTable.load(tmp_path / "data", "miniImageNet", "train", cache_dir=cache)
    expected = tmp_path / "data" / "miniImageNet" / "center" / "train_embeddings.pkl"
    message = str(caught.value)
    assert message.startswith(f"{expected}: not found, and {address} cannot be reached (")
    assert "make quickstart" in message and "dataset_name=glyphs" in message
    assert "\n" not in message


def test_download_can_be_forbidden(server, cache, tmp_path):
    with pytest.raises(InputError, match=rf"not found, and downloading is disabled.*{server.url}.*make quickstart"):
        EmbeddingTable.load(tmp_path, "miniImageNet", "train", cache_dir=cache, download=False)
    assert server.log == []
    assert not cache.exists()


def test_a_manually_downloaded_archive_is_used(cache, published):
    (cache / "embeddings").mkdir(parents=True)
    (cache / "embeddings" / "embeddings.zip").write_bytes(published)
    assert EmbeddingTable.load(None, "miniImageNet", "train", cache_dir=cache, download=False).num_classes == 64


def test_a_folder_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"file/embeddings: cannot be used .*choose another cache folder"):
        provide_published(tmp_path / "file")


# Invalid archives


def test_refuses_a_web_page_and_shows_it(server, cache, published):
    server.body = b"<html><title>Log in to the hotel network</title></html>"
    refuse(cache, "something other than a zip archive; it begins with b'<html><title>Log in to the hotel.*login page")
    server.body = published
    assert provide_published(cache)  # nothing of the page is left


def test_refuses_a_truncated_archive_without_content_length(server, cache, published):
    server.headers, server.body = {"Content-Length": "", "Connection": "close"}, published[:5000]
    refuse(cache, "something other than a zip archive")


MINI = "miniImageNet/center/train_embeddings.pkl"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.txt": b""}, "it has none of the files, such as miniImageNet/center"),
        ({MINI: pickled(63)}, f"{MINI} has 63 classes of dim 640; expected 64 classes of dim 640"),
        ({MINI: pickled(64, dim=512)}, f"{MINI} has 64 classes of dim 512"),
        ({MINI: pickled(64, value=np.nan)}, f"{MINI}: 64 of 64 rows hold NaN"),
        ({MINI: b"cos\nsystem\n(S'true'\ntR."}, "the pickle asks for 'os.system'"),
        ({MINI: pickled(64), f"copy/{MINI}": pickled(64)}, f"it has {MINI} twice"),
        ({"tieredImageNet/center/val_embeddings.pkl": pickled(96)}, "has 96 classes of dim 640; expected 97"),
    ],
)
def test_refuses_other_archives(server, cache, files, message):
    server.body = archive_of(files)
    refuse(
        cache, f"embeddings.zip: not the archive of the published embeddings: .*{message}.*Delete it and start again"
    )


@pytest.mark.parametrize(
    "name", ["../escaped.pkl", "a/../../escaped.pkl", "/escaped.pkl", "..\\escaped.pkl", f"../{MINI}"]
)
def test_refuses_entries_that_point_outside(server, cache, name):
    server.body = archive_of({MINI: pickled(64), name: pickled(64)})
    refuse(cache, "points outside of it")
    assert not list(cache.parent.rglob("escaped*"))


def test_refuses_links(server, cache):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        link = zipfile.ZipInfo(MINI)
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    server.body = content.getvalue()
    refuse(cache, "points outside of it")


def test_refuses_a_corrupt_entry(server, cache):
    body = bytearray(archive_of({MINI: os.urandom(5000)}))
    body[2000] ^= 255
    server.body = bytes(body)
    refuse(cache, "not the archive of the published embeddings: .*Bad CRC-32|Error -3")


# Changes after the download


def test_notices_when_the_archive_changes(server, cache):
    provide_published(cache)
    archive = cache / "embeddings" / "embeddings.zip"
    archive.write_bytes(archive_of({MINI: pickled(64, value=2.0)}))
    with pytest.raises(
        InputError, match=rf"{archive}: SHA-256 [0-9a-f]{{64}}; expected .*Delete the folder {archive.parent}"
    ):
        EmbeddingTable.load(None, "miniImageNet", "val", cache_dir=cache)


def test_notices_when_an_unpacked_file_changes(server, cache):
    unpacked = provide_published(cache) / MINI
    whole = unpacked.read_bytes()
    unpacked.write_bytes(pickled(64, value=2.0))
    with pytest.raises(InputError, match=rf"{unpacked}: SHA-256 .*corrupted or replaced"):
        provide_published(cache)
    unpacked.write_bytes(whole)  # another time, the same content
    assert provide_published(cache)
    unpacked.unlink()
    assert provide_published(cache)  # unpacked again
    assert unpacked.read_bytes() == whole
    assert server.log == [None]


def test_notices_when_the_server_has_another_archive_later(server, cache):
    data = provide_published(cache)
    (cache / "embeddings" / "embeddings.zip").unlink()
    assert provide_published(cache) == data  # the unpacked files are enough
    (data / MINI).unlink()
    server.body = archive_of({MINI: pickled(64, value=2.0)})
    with pytest.raises(InputError, match=r"embeddings.zip: SHA-256 .*recorded at the first download"):
        provide_published(cache)


def test_unpacks_again_after_a_process_was_killed_while_unpacking(server, cache, published):
    left = cache / "embeddings" / "unpacking" / "miniImageNet" / "center" / "half_embeddings.pkl"
    left.parent.mkdir(parents=True)
    left.touch()
    (cache / "embeddings" / "embeddings.zip").write_bytes(published)
    assert len(list(provide_published(cache).rglob("*.pkl"))) == 9
    assert server.log == []


def test_two_starts_at_once_fetch_once(server, cache):
    server.headers = {"ETag": '"1"'}
    results = []
    threads = [threading.Thread(target=lambda: results.append(provide_published(cache))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [cache / "embeddings" / "data"] * 3
    assert server.log == [None]
