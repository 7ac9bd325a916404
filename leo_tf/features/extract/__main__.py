"""Embed images: python -m leo_tf.features.extract --extractor=RUN --images=DIR --output=data/NAME"""

import logging
import shutil
import time
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags

from leo_tf.commands.main import Command, run_command
from leo_tf.commands.workers import define_sharing_flags, run_shared
from leo_tf.errors import InputError
from leo_tf.files import expanded, write_json

_log = logging.getLogger("leo_tf")


def define_flags(values=flags.FLAGS):
    """Define the flags."""

    def where(group):
        return {"flag_values": values, "module_name": group}

    flags.DEFINE_string(
        "images", "", "folder of the images, split or not; docs/own-images.md lists the layouts", **where("Images")
    )
    flags.DEFINE_string(
        "split_fractions",
        "",
        "shares of train, val and test for a folder of classes, as 0.64,0.16,0.2; empty with the extractor's own "
        "images: as in its run",
        **where("Images"),
    )
    flags.DEFINE_integer("split_seed", 0, "seed of this split", **where("Images"))
    flags.DEFINE_float("max_unreadable", 0.01, "share of a split's images that may be unreadable", **where("Images"))
    flags.DEFINE_string(
        "extractor",
        "",
        "pre-training run, name in keras.applications, or .keras file or SavedModel",
        **where("Network"),
    )
    flags.DEFINE_string(
        "layer", "", "layer whose output, averaged over the image, is the embedding", **where("Network")
    )
    flags.DEFINE_string("weights", "imagenet", "of keras.applications: imagenet, none, or a file", **where("Network"))
    flags.DEFINE_enum(
        "pixels", None, ["0..255", "0..1", "-1..1", "imagenet"], "what a file's network takes; default 0..255",
        **where("Network"),
    )  # fmt: skip
    flags.DEFINE_integer("image_size", 0, "of keras.applications and files; 0: the network's own", **where("Network"))
    flags.DEFINE_integer("resize_size", 0, "of these; 0: 1.15 times image_size", **where("Network"))
    flags.DEFINE_enum(
        "views",
        "center",
        ["center", "multiview", "drawing"],
        "the centre; the mean over ten crops; or, of drawings, over 16 ways to turn, shear, scale and move it a little",
        **where("Output"),
    )
    flags.DEFINE_string("output", "", "folder of the data set, as data/birds", **where("Output"))
    flags.DEFINE_enum("layout", "npz", ["npz", "official"], "kind of the files", **where("Output"))
    flags.DEFINE_enum("dtype", "float16", ["float16", "float32"], "of the embeddings on disk", **where("Output"))
    flags.DEFINE_integer(
        "batch_size", 64, "images decoded at once (speed and memory only)", lower_bound=1, **where("Run")
    )
    flags.DEFINE_string("licence", "", "of the images, for the card", **where("Output"))
    define_sharing_flags(values)


def main():
    """Define the flags and run."""
    define_flags()
    about = (
        "Embed a folder of images for train.py, one file a split, with a card that says what made them. The same "
        "command continues an extraction that stopped."
    )
    usage = "python -m leo_tf.features.extract"
    run_command(
        _extract, Command(about, usage, f"{usage} --extractor=runs/features --images=photos --output=data/photos")
    )


def _extract(values=flags.FLAGS):
    start = time.monotonic()

    def finish(found):
        output = expanded(values.output)
        _finish(values, output, found)
        print(f"{time.monotonic() - start:.0f} s. Next: {_next(values, output)}")
        return 0

    def share(workers):
        _require("images", "extractor", of=values)
        if workers.count > 1 and values.weights == "none":
            raise InputError(
                "weights=none draws other weights on every worker; expected weights that all have with several of them."
            )
        return _embed(values, expanded(values.output), workers)

    return run_shared(values, lambda: _require("images", "extractor", "output", of=values), share, finish)


def _require(*names, of):
    for name in names:
        if not of[name].value:
            raise InputError(f"No {name} was given; expected {_WANTED[name]}.")


_WANTED = {
    "images": "the folder of the images",
    "extractor": "a pre-training run, a name in keras.applications, or a file",
    "output": "the folder of the data set, as data/birds",
}


class _Found(NamedTuple):
    """What was embedded, by what."""

    extractor: Any  # Extractor
    images: Any  # ImageSet
    split_by: list  # fractions and seed
    inspected: dict  # {split: Inspected}
    embedded: dict  # {split: Embedded}; of the chief


def _embed(values, output, workers):
    """Embed all splits, together with the other workers if there are; the chief writes them."""
    from leo_tf.features.extract.extraction import Extraction
    from leo_tf.features.extract.output import card_folder, split_file, write_split
    from leo_tf.features.extractor import make_extractor
    from leo_tf.features.images import find_images, inspect

    split_by = workers.all_gather(_split(values) if workers.is_chief else None)[0]
    extractor = make_extractor(
        *(values.extractor, values.layer, values.views, values.weights, values.pixels or ""),
        *(values.image_size, values.resize_size),
    )
    images = find_images(values.images, *split_by)
    _log.info("%s.", images.summary())
    inspected = inspect(images.splits, values.max_unreadable)
    digests = {f"{split}_digest": each.digest for split, each in inspected.items()}
    workers.assert_equal(
        {**digests, **extractor.preprocessing.to_json(), "weights_sha256": extractor.about["weights_sha256"]}
    )
    parts = card_folder(output, values.views) / "parts"
    extraction, embedded = Extraction(extractor, parts, values.batch_size, values.max_unreadable, workers), {}
    for split, each in inspected.items():
        found = extraction.run(each, split)
        if workers.is_chief:
            path = split_file(output, split, values.views, values.layout)
            write_split(path, found, values.dtype, values.layout)
            speed = found.images_per_second
            print(f"{path}: {len(found.source)} images of {len(found.source.classes)} classes, dim "
                  f"{extractor.dim}{f', {speed:.0f} images/s' if speed == speed else ''}")  # fmt: skip
            embedded[split] = found
    return _Found(extractor, images, split_by, inspected, embedded)


def _finish(values, output, found):
    """Write what is said of the embeddings: the extractor with its card, and the split where it was drawn."""
    from leo_tf.features.extract.output import card_folder, card_of

    folder = card_folder(output, values.views)
    card = card_of(found.extractor, found.inspected, found.embedded, values.dtype, values.licence)
    found.extractor.save(folder, card)
    if found.images.drawn:
        chosen = {split: source.classes for split, source in found.images.splits.items()}
        fractions, seed = found.split_by
        write_json(folder / "split.json", {"fractions": fractions, "seed": seed, "classes": chosen})
    _warn(card, found.inspected)
    shutil.rmtree(folder / "parts", ignore_errors=True)


def _next(values, output):
    from leo_tf.features.extract.output import crop_of

    return (
        f"python train.py --data_path={output.parent} --dataset_name={output.name}"
        f"{'' if crop_of(values.views) == 'center' else ' --embedding_crop=multiview'} "
        f"--checkpoint_path=runs/{output.name}"
    )


def _split(values):
    """Return (fractions, seed): those given or, with a run's own images, the run's."""
    from leo_tf.features.settings import PretrainConfig
    from leo_tf.runs.run_dir import RunDirectory

    run = RunDirectory(values.extractor, PretrainConfig)
    if not values.split_fractions and run.config_file.is_file():
        images = run.config().images
        if Path(images.images).expanduser().resolve() == Path(values.images).expanduser().resolve():
            return images.split_fractions, images.split_seed
    return values.split_fractions, values.split_seed


def _warn(card, inspected):
    from leo_tf.data.extractor_metadata import what_the_extractor_saw

    new = [name for split in ("val", "test") if split in inspected for name in inspected[split].source.classes]
    said = what_the_extractor_saw(card, new) if new else ""
    if said:
        _log.warning("%s", said)


if __name__ == "__main__":
    main()
