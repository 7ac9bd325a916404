"""The settings of pre-training and extraction."""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from leo_tf.config.section import Section, count, require, setting, weight
from leo_tf.config.training import DISTRIBUTION_HELP, DISTRIBUTIONS
from leo_tf.errors import InputError

CROPS = ("center", "ink")
VIEWS = ("center", "multiview", "drawing")
IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))  # mean and standard deviation of the colours
PIXEL_SCALES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {  # mean and scale
    "0..255": ((0.0,) * 3, (1.0,) * 3),
    "0..1": ((0.0,) * 3, (255.0,) * 3),
    "-1..1": ((127.5,) * 3, (127.5,) * 3),
    "imagenet": IMAGENET,
}

# Settings that may change when a run is resumed.
_FREE_ON_RESUME = frozenset({"images", "cache_dir", "distribution", "patience", "max_unreadable"})


@dataclass(frozen=True)
class FolderConfig(Section):
    """A folder of images and its split."""

    group = "Images"

    images: str = setting("", "folder of the images, split or not; docs/own-images.md lists the layouts")
    split_fractions: str = setting("", "shares of train, val and test for a folder of classes, as 0.64,0.16,0.2")
    split_seed: int = setting(0, "seed of this split", high=2**62)
    max_unreadable: float = setting(0.01, "share of a split's images that may be unreadable and are skipped", high=1.0)


@dataclass(frozen=True)
class ImageConfig(FolderConfig):
    """The images to train on, and the size that they are resized to."""

    image_size: int = count(80, "side of the network's square input in pixels", high=4096)
    resize_size: int = count(
        0, "side of the resized square that inputs are cut from; 0: 1.15 times image_size, as 92 for 80", 0, 4096
    )
    color: str = setting("rgb", "rgb, or grey: one channel", choices=("rgb", "grey"))
    crop: str = setting(
        "center", "the square that is resized; ink: around the dark pixels, for drawings on white", choices=CROPS
    )
    cache_dir: str = setting("", "folder for decoded images; empty: the user's cache folder")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.resize_size:
            require(self.resize_size >= self.image_size, self, "resize_size", "0, or at least image_size")


@dataclass(frozen=True)
class NetworkConfig(Section):
    """A wide residual network; LEO's (paper section 4.2.1) is a WRN-28-10 with three reductions of the image."""

    group = "Network"

    depth: int = setting(28, "layers with weights, 6n + 4", low=10, high=1000)
    width: int = count(10, "widening factor: the groups have 16, 32 and 64 times as many channels", high=100)
    stem_width: int = count(16, "channels of the first convolution", high=4096)
    first_stride: int = setting(
        2, "stride of the first group; 2: three reductions of the image, as in LEO; 1: as published", low=1, high=2
    )
    dropout_rate: float = setting(
        0.5, "dropout inside the residual blocks", high=0.999, expected="a probability in [0, 0.999]"
    )
    classifier: str = setting(
        "linear",
        "classifier on the features in training; cosine: by angles to class weights, similar to few-shot tasks",
        choices=("linear", "cosine"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require((self.depth - 4) % 6 == 0, self, "depth", "6n + 4: 10, 16, 22, 28, 34, 40, ...")

    @property
    def blocks(self) -> int:
        """The number of residual blocks per group."""
        return (self.depth - 4) // 6


@dataclass(frozen=True)
class FeatureTrainingConfig(Section):
    """The training of the network as a classifier of the meta-training classes."""

    group = "Optimisation"

    batch_size: int = count(128, "images per step, over all replicas", high=100_000)
    num_steps_limit: int = count(30_000, "training steps", high=10**12)
    learning_rate: float = setting(0.1, "initial rate of SGD", low=1e-30, high=1e30, expected="a number above 0")
    learning_rate_schedule: str = setting(
        "step", "step: times 0.2 at 30, 60 and 80 % of the steps; cosine: to 0", choices=("step", "cosine", "constant")
    )
    warmup_steps: int = setting(0, "steps during which the learning rate rises from 0", high=10**9)
    momentum: float = setting(0.9, "Nesterov momentum of SGD", high=0.9999)
    weight_decay: float = weight(5e-4, "weight of half the squared norm of the kernels")
    label_smoothing: float = setting(0.0, "share of the target that is spread over all classes", high=0.9)
    augmentation: str = setting(
        "photo",
        "photo: crops, mirror images, colours; drawing: slightly rotated, sheared, scaled, moved and bent",
        choices=("photo", "drawing", "none"),
    )
    class_copies: str = setting(
        "none",
        "use images rotated by 90, 180 and 270 degrees, and mirrored, as additional classes",
        choices=("none", "rotations", "rotations_and_mirrored"),
    )
    rotation_loss_weight: float = weight(0.0, "weight of predicting a rotation by 0 to 270 degrees; 0: no rotations")
    heldout_fraction: float = setting(0.1, "share of each class's images held out for early stopping", high=0.9)
    monitor: str = setting(
        "heldout",
        "measure of the best checkpoint: accuracy on held-out images, or in 1-shot tasks of the validation classes",
        choices=("heldout", "one_shot"),
    )
    eval_ways: int = setting(5, "classes per 1-shot and 5-shot validation task", low=2, high=10_000)
    eval_tasks: int = setting(200, "number of these tasks", low=2, high=100_000)
    precision: str = setting(
        "float32", "precision of the network's arithmetic", choices=("float32", "mixed_bfloat16"), group="Run"
    )
    jit: bool = setting(False, "compile the step with XLA", group="Run")
    checkpoint_steps: int = count(1000, "steps between validations, each with a checkpoint", high=10**12, group="Run")
    log_steps: int = count(50, "steps between rows of metrics", high=10**12, group="Run")
    patience: int = count(
        0, "stop after this many validations without improvement; 0 disables early stopping", 0, 10**12, group="Run"
    )
    seed: int = setting(
        0, "seed of all randomness in the run", high=2**62, expected="a whole number from 0 to 2^62", group="Run"
    )
    distribution: str = setting("auto", DISTRIBUTION_HELP, choices=DISTRIBUTIONS, group="Run")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.monitor == "heldout":
            require(self.heldout_fraction > 0, self, "heldout_fraction", "above 0 with monitor=heldout")


@dataclass(frozen=True)
class PretrainConfig:
    """The settings of a pre-training run; saved as config.json in its folder."""

    images: ImageConfig = field(default_factory=ImageConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    training: FeatureTrainingConfig = field(default_factory=FeatureTrainingConfig)

    def flat(self) -> dict[str, Any]:
        """Return all settings, {name: value}."""
        return {name: value for section in dataclasses.asdict(self).values() for name, value in section.items()}

    def to_json(self) -> str:
        """Return the configuration, and the version that wrote it, as a JSON text that `from_json` reads."""
        from leo_tf import __version__

        first = {"leo_tf": __version__, "kind": "pretraining"}
        return json.dumps(first | dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "PretrainConfig":
        """Build a configuration from `to_json`'s text."""
        try:
            values = json.loads(text)
            return cls(**{name: kind(**values[name]) for name, kind in SECTIONS.items()})
        except InputError:
            raise
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise InputError(
                f"The configuration is not that of a pre-training run ({type(error).__name__}: {error}); expected the "
                "config.json that this version's leo_tf.features.pretrain writes."
            ) from None

    def resumed_from(self, run: "PretrainConfig") -> "PretrainConfig":
        """Return the configuration to resume a run with; no setting is read only by new runs."""
        return self

    def changes(self, other: "PretrainConfig") -> dict[str, list]:
        """Return {name: [mine, theirs]} of all settings that differ."""
        mine, theirs = self.flat(), other.flat()
        return {name: [mine[name], theirs[name]] for name in mine if mine[name] != theirs[name]}

    def differences(self, other: "PretrainConfig") -> list[str]:
        """List the settings, `section.field: mine != theirs`, that make `other` a different run."""
        changed = {name: pair for name, pair in self.changes(other).items() if name not in _FREE_ON_RESUME}
        sections = {f.name: section for section, kind in SECTIONS.items() for f in dataclasses.fields(kind)}
        return [f"{sections[name]}.{name}: {mine!r} != {theirs!r}" for name, (mine, theirs) in changed.items()]


SECTIONS = {"images": ImageConfig, "network": NetworkConfig, "training": FeatureTrainingConfig}


@dataclass(frozen=True)
class ExtractConfig(FolderConfig):
    """The settings of an extraction."""

    split_fractions: str = setting(
        "",
        "shares of train, val and test for a folder of classes, as 0.64,0.16,0.2; empty for the images of a "
        "pre-training run: as in that run",
    )
    extractor: str = setting(
        "", "pre-training run, name in keras.applications, or .keras file or SavedModel", group="Network"
    )
    layer: str = setting("", "layer whose output, averaged over the image, is the embedding", group="Network")
    weights: str = setting("imagenet", "weights of keras.applications: imagenet, none, or a file", group="Network")
    pixels: str = setting(
        "0..255", "pixel values that a file's network expects", choices=tuple(PIXEL_SCALES), group="Network"
    )
    image_size: int = setting(
        0, "input size for keras.applications and files; 0: the network's own", high=4096, group="Network"
    )
    resize_size: int = setting(0, "resized square for these; 0: 1.15 times image_size", high=4096, group="Network")
    views: str = setting(
        "center",
        "the centre crop; the mean over ten crops; or, for drawings, the mean over 16 slightly changed versions",
        choices=VIEWS,
        group="Output",
    )
    output: str = setting("", "folder of the data set, as data/birds", group="Output")
    layout: str = setting("npz", "format of the files", choices=("npz", "official"), group="Output")
    dtype: str = setting("float16", "type of the embeddings on disk", choices=("float16", "float32"), group="Output")
    licence: str = setting("", "licence of the images, recorded in the extractor metadata", group="Output")
    batch_size: int = count(64, "images decoded at once; affects only speed and memory", high=100_000, group="Run")

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.images, self, "images", "the folder of the images")
        require(self.extractor, self, "extractor", "a pre-training run, a name in keras.applications, or a file")
        require(self.output, self, "output", "the folder of the data set, as data/birds")
