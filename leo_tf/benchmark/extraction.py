"""What it costs to embed a folder of photographs: images a second beside the network's own limit, and memory."""

import io
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import keras
import numpy as np

from leo_tf.benchmark.memory import resident_megabytes
from leo_tf.features.extract.extraction import CHUNK, Extraction
from leo_tf.features.extract.output import split_file, write_split
from leo_tf.features.extractor import Extractor
from leo_tf.features.images import Preprocessing, find_images, inspect
from leo_tf.features.settings import NetworkConfig
from leo_tf.features.wrn import default_layer, wide_resnet

WIDTH, HEIGHT, SIDE = 500, 375, 80  # of a photograph, as ImageNet's are on average; of what the network takes
IN_A_CLASS = 100
_NETWORK = NetworkConfig(depth=10, width=4)
_GRAINS = ((12, 1.0), (60, 0.35), (250, 0.2))  # of a made-up photograph: how many across, and their share
_ROUNDS, _READ_IN_A_ROUND = 3, 512


def photograph(number):
    """Return a JPEG of noise in three grains, a few dozen KB as a photograph's, bytes; another one for every number."""
    from PIL import Image

    rng, buffer = np.random.default_rng(number), io.BytesIO()
    pixels = Image.new("RGB", (WIDTH, HEIGHT))
    for across, share in _GRAINS:
        grain = Image.fromarray(rng.integers(0, 256, (across * HEIGHT // WIDTH, across, 3), np.uint8))
        pixels = Image.blend(pixels, grain.resize(pixels.size, Image.Resampling.BILINEAR), share)
    pixels.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def write_photographs(folder, images):
    """Write so many JPEGs into folders of IN_A_CLASS each."""

    def write(number):
        path = folder / f"class{number // IN_A_CLASS:04}" / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photograph(number))

    with ThreadPoolExecutor() as pool:
        for _ in pool.map(write, range(images)):
            pass


def untrained(network=_NETWORK, side=SIDE):
    """Return an Extractor of a wide residual network with its first weights."""
    model = wide_resnet(network, side, 3, 64)
    output = keras.layers.GlobalAveragePooling2D()(model.get_layer(default_layer(network)).output)
    about = {"name": f"WRN-{network.depth}-{network.width}", "layer": default_layer(network), "trained_on": []}
    return Extractor(keras.Model(model.inputs[0], output), Preprocessing(round(side * 1.15), side), about)


class Watched:
    """An Extractor that notes the process's memory after every chunk."""

    def __init__(self, extractor):
        self._extractor, self.megabytes = extractor, []

    def __getattr__(self, name):
        return getattr(self._extractor, name)

    def __call__(self, squares):
        rows = self._extractor(squares)
        self.megabytes.append(resident_megabytes())
        return rows


def measure(images, network=_NETWORK, side=SIDE):
    """Write JPEGs, look at them, embed them and write the embeddings, as `leo_tf.features.extract` does.

    Args:
      images: how many.
      network: NetworkConfig.
      side: of what it takes, pixels.

    Returns:
      {"network", "kilobytes" (of a file, mean), "inspected", "extracted", "network_alone", "reading_alone" (images/s,
      the last two medians of rounds before and after), "megabytes" (of the process after every tenth of the images),
      "megabytes_most" (after any), "megabytes_at_the_end" (with the file of embeddings written)}.
    """
    with tempfile.TemporaryDirectory() as folder:
        photographs = Path(folder) / "photographs"
        write_photographs(photographs, images)
        size = sum(path.stat().st_size for path in photographs.rglob("*.jpg"))
        found = find_images(photographs, "0,0,1")
        start = time.perf_counter()
        inspected = inspect(found.splits)["test"]
        inspected_in = time.perf_counter() - start
        extractor = Watched(untrained(network, side))
        alone = [_alone(extractor, inspected.source)]
        extractor.megabytes.clear()
        embedded = Extraction(extractor, Path(folder) / "parts").run(inspected, "test")
        write_split(split_file(Path(folder) / "data", "test", "center", "npz"), embedded, "float16", "npz")
        memory, at_the_end = extractor.megabytes, resident_megabytes()
        alone.append(_alone(extractor, inspected.source))
    tenths = [memory[(len(memory) - 1) * tenth // 10] for tenth in range(1, 11)]
    return {
        "network": f"{extractor.about['name']}, {side} pixels",
        "kilobytes": size / images / 1e3,
        "inspected": images / inspected_in,
        "extracted": embedded.images_per_second,
        "network_alone": median(alone[0][0] + alone[1][0]),
        "reading_alone": median(alone[0][1] + alone[1][1]),
        "megabytes": tenths,
        "megabytes_most": max(memory),
        "megabytes_at_the_end": at_the_end,
    }


def _alone(extractor, source):
    """Return images/s of the network on squares in memory, and of reading without network, in turns: two lists."""
    speeds: tuple[list, list] = ([], [])
    squares = next(iter(extractor.loader.batches(source, CHUNK)))[0].numpy()
    squares = np.resize(squares, (CHUNK, *squares.shape[1:]))
    extractor(squares)
    for number in range(_ROUNDS):
        start = time.perf_counter()
        for _ in range(_READ_IN_A_ROUND // CHUNK):
            extractor(squares)
        speeds[0].append(_READ_IN_A_ROUND / (time.perf_counter() - start))
        first = number * _READ_IN_A_ROUND % max(1, len(source) - _READ_IN_A_ROUND)
        start, read = time.perf_counter(), 0
        for _, why in extractor.loader.batches(source, CHUNK, first):
            read += len(why)
            if read >= _READ_IN_A_ROUND:
                break
        speeds[1].append(read / (time.perf_counter() - start))
    return speeds
