"""Embed images: python -m leo_tf.features.extract --extractor=RUN --images=DIR --output=data/NAME"""

import logging
import shutil
import time
from pathlib import Path
from typing import Any

from absl import flags

from leo_tf.commands.flags import define_section_flags, section_of
from leo_tf.commands.help import command_line
from leo_tf.commands.main import Command, run_command
from leo_tf.commands.workers import define_sharing_flags, run_shared
from leo_tf.errors import InputError
from leo_tf.features.settings import ExtractConfig, PretrainConfig
from leo_tf.files import expanded, write_json
from leo_tf.runs.run_dir import RunDirectory

_logger = logging.getLogger("leo_tf")


def main() -> None:
    define_section_flags([ExtractConfig], flags.FLAGS)
    define_sharing_flags()
    about = (
        "Embed a folder of images for train.py: one file per split, and metadata of the extractor. Rerun the command "
        "to resume an extraction that was stopped."
    )
    usage = "python -m leo_tf.features.extract"
    run_command(
        _extract, Command(about, usage, f"{usage} --extractor=runs/features --images=photos --output=data/photos")
    )


def _extract() -> int:
    start, config = time.monotonic(), section_of(ExtractConfig, flags.FLAGS)
    output = expanded(config.output)

    def finish(found: tuple) -> int:
        """Write the extractor, its metadata, and the split if it was drawn; remove the parts."""
        from leo_tf.data.extractor_metadata import overlap_warning
        from leo_tf.features.extract.output import extractor_folder

        extractor, metadata, record, drawn = found
        folder = extractor_folder(output, config.views)
        extractor.save(folder, metadata)
        if drawn:
            write_json(folder / "split.json", record)
        new_classes = [name for split in ("val", "test") for name in record["classes"].get(split, [])]
        warning = overlap_warning(metadata, new_classes) if new_classes else ""
        if warning:
            _logger.warning("%s", warning)
        shutil.rmtree(folder / "parts", ignore_errors=True)
        crop = " --embedding_crop=multiview" if config.views == "multiview" else ""
        print(
            f"{time.monotonic() - start:.0f} s. Next: {command_line('train', 'train.py')} "
            "--flagfile=configs/quickstart.cfg --flagfile=configs/proto_leo.cfg "
            f"--data_path={output.parent} --dataset_name={output.name}{crop} --checkpoint_path=runs/{output.name}"
        )
        return 0

    return run_shared(flags.FLAGS, lambda: None, lambda workers: _embed(config, output, workers), finish)


def _embed(config: ExtractConfig, output: Path, workers: Any) -> tuple:
    """Embed all splits, shared among the workers; the chief writes them. Return what `finish` needs."""
    from leo_tf.features.backbones import make_extractor
    from leo_tf.features.extract.extraction import Extraction
    from leo_tf.features.extract.output import extractor_folder, metadata_of, split_file, write_split
    from leo_tf.features.images import find_images, inspect

    if workers.count > 1 and config.weights == "none":
        raise InputError(
            "weights=none draws different weights on every worker; expected weights that all workers share.", "weights"
        )
    fractions, seed = workers.broadcast(_split(config) if workers.is_chief else None)
    extractor = make_extractor(
        *(config.extractor, config.layer, config.views, config.weights, config.pixels),
        *(config.image_size, config.resize_size),
    )
    images = find_images(config.images, fractions, seed)
    _logger.info("%s.", images.summary())
    inspected = inspect(images.splits, config.max_unreadable)
    digests = {f"{split}_digest": each.digest for split, each in inspected.items()}
    workers.assert_equal(
        {**digests, **extractor.preprocessing.to_json(), "weights_sha256": extractor.about["weights_sha256"]}
    )
    parts = extractor_folder(output, config.views) / "parts"
    extraction, embedded = Extraction(extractor, parts, config.batch_size, config.max_unreadable, workers), {}
    for split, each in inspected.items():
        found = extraction.run(each, split)
        if found:
            path = split_file(output, split, config.views, config.layout)
            write_split(path, found, config.dtype, config.layout)
            line = f"{path}: {len(found.source)} images of {len(found.source.classes)} classes, dim {extractor.dim}"
            speed = found.images_per_second
            print(line if speed != speed else f"{line}, {speed:.0f} images/s")  # NaN: nothing was left to do
            embedded[split] = found
    metadata = metadata_of(extractor, inspected, embedded, config.dtype, config.licence)
    classes = {split: source.classes for split, source in images.splits.items()}
    record = {"fractions": fractions, "seed": seed, "classes": classes}
    return extractor, metadata, record, images.drawn


def _split(config: ExtractConfig) -> tuple[str, int]:
    """Return the split's fractions and seed: the given ones or, for a run's own images, the run's."""
    run = RunDirectory(config.extractor, PretrainConfig)
    if not config.split_fractions and run.config_file.is_file():
        images = run.config().images
        if Path(images.images).expanduser().resolve() == Path(config.images).expanduser().resolve():
            return images.split_fractions, images.split_seed
    return config.split_fractions, config.split_seed


if __name__ == "__main__":
    main()
