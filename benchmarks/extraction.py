"""Time the embedding of JPEGs beside the network alone and reading alone, and note memory.

python benchmarks/extraction.py --images 10000
"""

import argparse
import io
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import keras
import numpy as np
from measuring import resident_megabytes

from leo_tf.features.extract.extraction import CHUNK, Extraction
from leo_tf.features.extract.output import split_file, write_split
from leo_tf.features.extractor import Extractor
from leo_tf.features.images import Preprocessing, find_images, inspect
from leo_tf.features.settings import NetworkConfig
from leo_tf.features.wrn import default_layer, wide_resnet

WIDTH, HEIGHT = 500, 375  # of a JPEG, the average of ImageNet
SIDE = 80  # of the network's input
PER_CLASS = 100
_NETWORK = NetworkConfig(depth=10, width=4)
_NOISE = ((12, 1.0), (60, 0.35), (250, 0.2))  # blocks across a synthetic photograph, and their share
_ROUNDS, _IMAGES_PER_ROUND = 3, 512


def photograph(number: int) -> bytes:
    """Return a JPEG of noise on three scales, of a photograph's size in bytes; different for every number."""
    from PIL import Image

    rng, buffer = np.random.default_rng(number), io.BytesIO()
    pixels = Image.new("RGB", (WIDTH, HEIGHT))
    for across, share in _NOISE:
        noise = Image.fromarray(rng.integers(0, 256, (across * HEIGHT // WIDTH, across, 3), np.uint8))
        pixels = Image.blend(pixels, noise.resize(pixels.size, Image.Resampling.BILINEAR), share)
    pixels.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def write_photographs(folder: Path, images: int) -> None:
    """Write JPEGs into folders of PER_CLASS each."""

    def write(number: int) -> None:
        path = folder / f"class{number // PER_CLASS:04}" / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photograph(number))

    with ThreadPoolExecutor() as pool:
        for _ in pool.map(write, range(images)):
            pass


def untrained(network: NetworkConfig = _NETWORK, side: int = SIDE) -> Extractor:
    """Return the Extractor of an untrained wide residual network."""
    model = wide_resnet(network, side, 3, 64)
    output = keras.layers.GlobalAveragePooling2D()(model.get_layer(default_layer(network)).output)
    about = {"name": f"WRN-{network.depth}-{network.width}", "layer": default_layer(network), "trained_on": []}
    return Extractor(keras.Model(model.inputs[0], output), Preprocessing(round(side * 1.15), side), about)


class MemoryRecorder:
    """An Extractor that records the process's memory after every chunk."""

    def __init__(self, extractor: Extractor):
        self._extractor = extractor
        self.megabytes: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._extractor, name)

    def __call__(self, squares: Any) -> Any:
        rows = self._extractor(squares)
        self.megabytes.append(resident_megabytes())
        return rows


def measure(images: int, network: NetworkConfig = _NETWORK, side: int = SIDE) -> dict[str, Any]:
    """Write JPEGs, inspect and embed them and write the embeddings, as `leo_tf.features.extract` does.

    Args:
      images: number of JPEGs.
      network: NetworkConfig.
      side: of its input, in pixels.

    Returns:
      {"network", "kilobytes" (mean of the files), "inspected", "extracted", "network_alone", "reading_alone" (images/s,
      the last two medians of rounds before and after), "megabytes" (of the process after every tenth of the images),
      "peak_megabytes", "final_megabytes" (after the embeddings are written)}.
    """
    with tempfile.TemporaryDirectory() as folder:
        photographs = Path(folder) / "photographs"
        write_photographs(photographs, images)
        size = sum(path.stat().st_size for path in photographs.rglob("*.jpg"))
        found = find_images(photographs, "0,0,1")
        start = time.perf_counter()
        inspected = inspect(found.splits)["test"]
        inspected_in = time.perf_counter() - start
        extractor = MemoryRecorder(untrained(network, side))
        alone = [_alone(extractor, inspected.source)]
        extractor.megabytes.clear()
        embedded = Extraction(extractor, Path(folder) / "parts").run(inspected, "test")
        write_split(split_file(Path(folder) / "data", "test", "center", "npz"), embedded, "float16", "npz")
        memory, final_memory = extractor.megabytes, resident_megabytes()
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
        "peak_megabytes": max(memory),
        "final_megabytes": final_memory,
    }


def _alone(extractor: MemoryRecorder, source: Any) -> tuple[list[float], list[float]]:
    """Return images/s of the network on images in memory, and of reading without network, in turns."""
    speeds: tuple[list, list] = ([], [])
    squares = next(iter(extractor.loader.batches(source, CHUNK)))[0].numpy()
    squares = np.resize(squares, (CHUNK, *squares.shape[1:]))
    extractor(squares)
    for number in range(_ROUNDS):
        start = time.perf_counter()
        for _ in range(_IMAGES_PER_ROUND // CHUNK):
            extractor(squares)
        speeds[0].append(_IMAGES_PER_ROUND / (time.perf_counter() - start))
        first = number * _IMAGES_PER_ROUND % max(1, len(source) - _IMAGES_PER_ROUND)
        start, read = time.perf_counter(), 0
        for _, why in extractor.loader.batches(source.subset(range(first, len(source))), CHUNK):
            read += len(why)
            if read >= _IMAGES_PER_ROUND:
                break
        speeds[1].append(read / (time.perf_counter() - start))
    return speeds


def main() -> None:
    """Parse the command line, measure, print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    images = parser.parse_args().images
    found = measure(images)
    print(
        f"{images:,} JPEGs of {WIDTH} x {HEIGHT}, {found['kilobytes']:.0f} kB each, through {found['network']}; "
        "images/s:\n"
        f"  inspecting {found['inspected']:.0f}, embedding {found['extracted']:.1f}\n"
        f"  the network alone {found['network_alone']:.1f}, reading alone {found['reading_alone']:.1f}\n"
        f"memory in MB after every tenth of the images: {', '.join(f'{each:.0f}' for each in found['megabytes'])}\n"
        f"  peak {found['peak_megabytes']:.0f}; {found['final_megabytes']:.0f} when the embeddings are written"
    )


if __name__ == "__main__":
    main()
