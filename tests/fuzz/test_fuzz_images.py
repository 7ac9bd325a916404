"""Corrupted images are decoded or refused, by the reader and by the served graph, in little memory.

The tests run this file as a script, `python test_fuzz_images.py {reader,graph} EFFORT`: memory is measured in a process
of its own.
"""

import contextlib
import io
import os
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from fuzzing import EFFORT, corrupted, fuzz
from hypothesis import strategies as st
from PIL import Image

from leo_tf.errors import InputError
from leo_tf.features.images import Loader, Preprocessing, Source, inspect
from leo_tf.features.images.decoding import squares_of
from leo_tf.files.pixels import UnreadableError

pytestmark = pytest.mark.long

MOST = 300  # MB more than before, at any moment
SIDE = 8
STATUS, PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def encoded(kind, mode="RGB", **options):
    image, buffer = (
        Image.fromarray(np.arange(20 * 24 * 3, dtype=np.uint8).reshape(20, 24, 3)).convert(mode),
        io.BytesIO(),
    )
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def turned(kind):
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a picture"
    return encoded(kind, exif=exif)


PLAIN = [encoded("PNG"), encoded("JPEG"), encoded("PNG", "L"), encoded("JPEG", progressive=True)]
OTHERS = [
    *(encoded("PNG", mode) for mode in ("1", "P", "RGBA", "LA", "I;16")),
    *(encoded("JPEG", "CMYK"), turned("JPEG"), turned("PNG"), encoded("GIF"), encoded("WEBP"), encoded("BMP")),
    *(encoded("TIFF"), encoded("TIFF", "1"), encoded("TIFF", compression="tiff_lzw"), encoded("PPM"), turned("TIFF")),
]


def megabytes(what):
    """Return VmRSS or VmHWM of this process, in MB."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(what))
    return int(line.split()[1]) / 1024


class Peak:
    """Highest memory of this process since the object was created; unlike tracemalloc's, with C and C++."""

    def __init__(self):
        self._before = megabytes("VmRSS")
        PEAK.write_text("5")

    def more(self):
        return megabytes("VmHWM") - self._before


@st.composite
def grown(draw):
    """Draw PNG and JPEG files whose headers declare another size."""
    content = bytearray(draw(st.sampled_from(PLAIN)))
    width, height = (draw(st.sampled_from([0, 1, 20, 9_999, 65_535, 2**31 - 1, 2**32 - 1])) for _ in range(2))
    if content.startswith(b"\x89PNG"):
        content[16:24] = struct.pack(">II", width, height)
        content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    else:
        frame = max(content.find(b"\xff\xc0"), content.find(b"\xff\xc2"))
        content[frame + 5 : frame + 9] = struct.pack(">HH", height % 2**16, width % 2**16)
    return bytes(content)


def fuzz_reader(effort):
    loader = Loader(Preprocessing(SIDE, SIDE))
    for content in PLAIN + OTHERS:  # compiles, and loads Pillow's plugins
        assert loader.square(content).shape == (SIDE, SIDE, 3)

    def check(content):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, about corrupt files
            try:
                square = loader.square(content)
            except UnreadableError as error:
                assert 5 < len(str(error)) < 400
            else:
                assert square.shape == (SIDE, SIDE, 3) and square.dtype == np.uint8
            source = Source(["a", "b", "c"], ["x", "x", "x"], [PLAIN[0], content, PLAIN[1]].__getitem__)
            try:
                inspect({"train": source}, max_unreadable=1.0)
            except InputError as error:
                assert "the same picture" in str(error)

    peak = Peak()
    fuzz(st.one_of(corrupted(*PLAIN, *OTHERS), corrupted(*PLAIN, *OTHERS), grown()), check, 250, effort)
    assert peak.more() < MOST


def fuzz_graph(effort):
    graph = tf.function(
        lambda contents: squares_of(contents, Preprocessing(SIDE, SIDE)),
        input_signature=[tf.TensorSpec([None], tf.string)],
        autograph=False,
    )
    assert graph(tf.constant(PLAIN)).shape == (len(PLAIN), SIDE, SIDE, 3)

    def check(content):
        with contextlib.suppress(tf.errors.InvalidArgumentError):
            assert graph(tf.constant([content])).shape == (1, SIDE, SIDE, 3)

    peak = Peak()
    fuzz(st.one_of(corrupted(*PLAIN, *OTHERS), grown()), check, 200, effort)
    assert peak.more() < MOST


@EFFORT
@pytest.mark.parametrize("what", ["reader", "graph"])
def test_corrupted_images(what, effort):
    if not STATUS.exists():
        pytest.skip("needs Linux' /proc")
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    command = [sys.executable, __file__, what, str(effort)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stderr[-4000:]


if __name__ == "__main__":
    {"reader": fuzz_reader, "graph": fuzz_graph}[sys.argv[1]](int(sys.argv[2]))
