"""The settings of a pre-training run: which images, which network, how it is trained."""

import dataclasses
import json
from dataclasses import dataclass, field

from leo_tf.config.section import Section, count, require, setting, weight
from leo_tf.config.training import DISTRIBUTION_HELP, DISTRIBUTIONS
from leo_tf.errors import InputError

COLORS = ("rgb", "grey")
CROPS = ("center", "ink")
CLASSIFIERS = ("linear", "cosine")
AUGMENTATIONS = ("photo", "drawing", "none")
CLASS_COPIES = ("none", "rotations", "rotations_and_mirrored")
PRECISIONS = ("float32", "mixed_bfloat16")
SCHEDULES = ("step", "cosine", "constant")
SELECTIONS = ("heldout", "one_shot")

# What may change from one start of a run to the next without making it another run.
_FREE_ON_RESUME = frozenset({"images", "cache_dir", "distribution", "patience", "max_unreadable"})


@dataclass(frozen=True)
class ImageConfig(Section):
    """Which images, and the size they are brought to."""

    group = "Images"

    images: str = setting("", "folder of the images, split or not; docs/own-images.md lists the layouts")
    split_fractions: str = setting("", "shares of train, val and test for a folder of classes, as 0.64,0.16,0.2")
    split_seed: int = setting(0, "seed of this split", high=2**62)
    image_size: int = count(80, "side of the square that the network takes, pixels", high=4096)
    resize_size: int = count(
        0, "side of the square it is cut from; 0: 1.15 times image_size, as 92 for 80", low=0, high=4096
    )
    color: str = setting("rgb", "rgb, or grey: one channel", choices=COLORS)
    crop: str = setting(
        "center", "the square that is resized; ink: around what is dark, for drawings on white", choices=CROPS
    )
    max_unreadable: float = setting(0.01, "share of a split's images that may be unreadable and are skipped", high=1.0)
    cache_dir: str = setting("", "folder for decoded images; empty: the user's cache folder")

    def __post_init__(self):
        super().__post_init__()
        if self.resize_size:
            require(self.resize_size >= self.image_size, self, "resize_size", "0, or at least image_size")

    @property
    def square_size(self):
        """The side of the resized square, int."""
        return self.resize_size or round(self.image_size * 1.15)


@dataclass(frozen=True)
class NetworkConfig(Section):
    """A wide residual network.

    References:
      Zagoruyko and Komodakis, "Wide Residual Networks", BMVC 2016. LEO's: paper section 4.2.1, WRN-28-10 with three
      reductions of the image.
    """

    group = "Network"

    depth: int = setting(28, "layers with weights, 6n + 4", low=10, high=1000)
    width: int = count(10, "widening factor: the groups have 16, 32 and 64 times as many channels", high=100)
    stem_width: int = count(16, "channels of the first convolution", high=4096)
    first_stride: int = setting(
        2, "stride of the first group; 2: three reductions, as LEO's; 1: as published", low=1, high=2
    )
    dropout_rate: float = setting(
        0.5, "dropout inside the residual blocks", high=0.999, expected="a probability in [0, 0.999]"
    )
    classifier: str = setting(
        "linear",
        "how features are told apart in training; cosine: by their angles to class weights, as a few-shot task will",
        choices=CLASSIFIERS,
    )

    def __post_init__(self):
        super().__post_init__()
        require((self.depth - 4) % 6 == 0, self, "depth", "6n + 4: 10, 16, 22, 28, 34, 40, ...")

    @property
    def blocks(self):
        """Residual blocks in a group, int."""
        return (self.depth - 4) // 6


@dataclass(frozen=True)
class FeatureTrainingConfig(Section):
    """How the network is trained to tell the meta-training classes apart."""

    group = "Optimisation"

    batch_size: int = count(128, "images in a step, over all replicas", high=100_000)
    num_steps_limit: int = count(30_000, "training steps", high=10**12)
    learning_rate: float = setting(0.1, "of SGD at the start", low=1e-30, high=1e30, expected="a number above 0")
    learning_rate_schedule: str = setting(
        "step", "step: times 0.2 at 30, 60 and 80 % of the steps; cosine: to 0", choices=SCHEDULES
    )
    warmup_steps: int = setting(0, "steps in which the learning rate rises from 0", high=10**9)
    momentum: float = setting(0.9, "of SGD, Nesterov's", high=0.9999)
    weight_decay: float = weight(5e-4, "weight of the halved squared norm of the kernels")
    label_smoothing: float = setting(0.0, "share of the target that is spread over all classes", high=0.9)
    augmentation: str = setting(
        "photo",
        "photo: crops, mirror images, colours; drawing: turned, sheared, scaled, moved and bent a little",
        choices=AUGMENTATIONS,
    )
    class_copies: str = setting(
        "none", "turned by 90, 180 and 270 degrees, and mirrored, images as classes of their own", choices=CLASS_COPIES
    )
    rotation_loss_weight: float = weight(0.0, "weight of telling by how many quarters an image was turned; 0: no turns")
    heldout_fraction: float = setting(0.1, "share of each class's images held out for early stopping", high=0.9)
    monitor: str = setting(
        "heldout",
        "which checkpoint is the best: by accuracy on held-out images, or in 1-shot tasks of the validation classes",
        choices=SELECTIONS,
    )
    eval_ways: int = setting(5, "classes in the 1-shot and 5-shot tasks that watch the training", low=2, high=10_000)
    watch_tasks: int = setting(200, "number of these tasks", low=2, high=100_000)
    precision: str = setting("float32", "of the network's arithmetic", choices=PRECISIONS, group="Run")
    jit: bool = setting(False, "compile the step with XLA", group="Run")
    checkpoint_steps: int = count(
        1000, "steps from one validation and checkpoint to the next", high=10**12, group="Run"
    )
    log_steps: int = count(50, "steps from one row of metrics to the next", high=10**12, group="Run")
    patience: int = count(
        0, "validations without a better one after which the run ends; 0: it goes on", low=0, high=10**12, group="Run"
    )
    seed: int = setting(
        0, "seed of everything random in the run", high=2**62, expected="a whole number from 0 to 2^62", group="Run"
    )
    distribution: str = setting("auto", DISTRIBUTION_HELP, choices=DISTRIBUTIONS, group="Run")

    def __post_init__(self):
        super().__post_init__()
        if self.monitor == "heldout":
            require(self.heldout_fraction > 0, self, "heldout_fraction", "above 0 with monitor=heldout")


@dataclass(frozen=True)
class PretrainConfig:
    """Everything that defines a pre-training run; saved as config.json in its folder."""

    images: ImageConfig = field(default_factory=ImageConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    training: FeatureTrainingConfig = field(default_factory=FeatureTrainingConfig)

    def flat(self):
        """Return every setting by its name, {name: bool, int, float or text}."""
        sections = (dataclasses.asdict(getattr(self, name)) for name in SECTIONS)
        return {name: value for section in sections for name, value in section.items()}

    def to_json(self):
        """Return the configuration, and the version that wrote it, as a JSON text that `from_json` reads back."""
        from leo_tf import __version__

        first = {"leo_tf": __version__, "kind": "pretraining"}
        return json.dumps(first | dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text):
        """Build a configuration from `to_json`'s text.

        Raises:
          InputError: the text is of something else, or does not fit this version.
        """
        try:
            values = json.loads(text)
            return cls(**{name: kind(**values[name]) for name, kind in SECTIONS.items()})
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"The configuration is of no pre-training run of this version ({type(error).__name__}: {error}); "
                "expected the config.json of python -m leo_tf.features.pretrain."
            ) from None

    def changes(self, other):
        """Return {name: [mine, theirs]} of all settings that differ."""
        mine, theirs = self.flat(), other.flat()
        return {name: [mine[name], theirs[name]] for name in mine if mine[name] != theirs[name]}

    def differences(self, other):
        """List the settings, `section.field: mine != theirs`, that make `other` a different run."""
        changed = {name: pair for name, pair in self.changes(other).items() if name not in _FREE_ON_RESUME}
        sections = {f.name: section for section, kind in SECTIONS.items() for f in dataclasses.fields(kind)}
        return [f"{sections[name]}.{name}: {mine!r} != {theirs!r}" for name, (mine, theirs) in changed.items()]


SECTIONS = {"images": ImageConfig, "network": NetworkConfig, "training": FeatureTrainingConfig}
