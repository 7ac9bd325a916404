"""Every setting of a run, as frozen dataclasses that are valid once built and go to JSON and back.

Field names are the flag names of the official code, so that a command for it carries over. This module imports no
TensorFlow: `--help`, a typing mistake in a flagfile or a refused run folder answer at once.
"""

import dataclasses
import json
import math
from dataclasses import dataclass, field

from leo_tf.errors import InputError

CROPS = ("center", "multiview")
DISTRIBUTIONS = ("auto", "none", "mirrored")
JIT_MODES = ("auto", "on", "off")
CODE_SOURCES = ("encoder", "prior")
CODES_PER_CLASS = ("example", "class")
ALGORITHMS = ("leo", "maml", "metasgd")
PROBLEMS = ("classification", "regression")
SCHEDULES = ("constant", "cosine")


def _setting(default, help_text, choices=None):
    return field(default=default, metadata={"help": help_text, "choices": choices})


def _require(condition, owner, name, expected):
    if not condition:
        raise InputError(f"--{name}={getattr(owner, name)!r} was given; expected {expected}.")


def _require_numbers(owner, **expected):
    """Check numeric fields: `name=(low, high, text)`, inclusive bounds; NaN is never in bounds."""
    for name, (low, high, text) in expected.items():
        _require(low <= getattr(owner, name) <= high, owner, name, text)


_COUNT = (1, math.inf, "a whole number of at least 1")
_COUNT_OR_ZERO = (0, math.inf, "a whole number of at least 0")
_WEIGHT = (0.0, 1e30, "a finite number of at least 0")
_POSITIVE = (1e-30, 1e30, "a finite number above 0")


@dataclass(frozen=True)
class LEOConfig:
    """What defines the model: adaptation steps, latent size, initial rates, the weights of the penalties, ablations.

    Defaults are those of the official code; the published results need the values in configs/. The paper's ablations
    (table 2) are settings of the same fields, in configs/ablations/.

    References:
      Paper section 2.3 and equations 6-7; B.4 for the steps and initial rates.
    """

    inner_unroll_length: int = _setting(5, "gradient steps on the latent codes")
    finetuning_unroll_length: int = _setting(5, "gradient steps on the classifier weights, after the latent steps")
    num_latents: int = _setting(64, "dimensions of the latent code of a class")
    inner_lr_init: float = _setting(1.0, "initial learning rate of the latent steps (meta-learned per dimension)")
    finetuning_lr_init: float = _setting(0.001, "initial learning rate of the fine-tuning steps (meta-learned)")
    dropout_rate: float = _setting(0.5, "probability of dropping an embedding dimension while meta-training")
    kl_weight: float = _setting(1e-3, "weight (beta) of KL(q(z|support) || N(0, I))")
    encoder_penalty_weight: float = _setting(1e-9, "weight (gamma) of the distance from initial to adapted codes")
    l2_penalty_weight: float = _setting(1e-8, "weight (lambda 1) of the halved squared norm of all matrices")
    orthogonality_penalty_weight: float = _setting(1e-3, "weight (lambda 2) of the decoder's row correlations")
    stochastic: bool = _setting(True, "sample codes and weights while meta-training; false: their means, and no KL")
    codes_from: str = _setting(
        "encoder", "where initial codes come from; prior: N(0, I), which never sees the support", CODE_SOURCES
    )
    codes_per_class: str = _setting(
        "example",
        "codes sampled for a class: one for each support example (official code) or one (paper)",
        CODES_PER_CLASS,
    )
    first_order: bool = _setting(False, "hold the inner gradients constant in the meta-gradient")
    inner_gradient_norm_threshold: float = _setting(
        0.0, "regression only: largest norm of a task's inner gradient; 0: no limit"
    )

    def __post_init__(self):
        _require_numbers(
            self,
            inner_unroll_length=(0, 1000, "a whole number of at least 0"),
            finetuning_unroll_length=(0, 1000, "a whole number of at least 0"),
            num_latents=_COUNT,
            inner_lr_init=_WEIGHT,
            finetuning_lr_init=_WEIGHT,
            dropout_rate=(0.0, 0.999, "a probability in [0, 0.999]"),
            kl_weight=_WEIGHT,
            encoder_penalty_weight=_WEIGHT,
            l2_penalty_weight=_WEIGHT,
            orthogonality_penalty_weight=_WEIGHT,
            inner_gradient_norm_threshold=_WEIGHT,
        )
        _require(self.codes_from in CODE_SOURCES, self, "codes_from", " or ".join(CODE_SOURCES))
        _require(self.codes_per_class in CODES_PER_CLASS, self, "codes_per_class", " or ".join(CODES_PER_CLASS))
        if self.codes_from == "prior":
            _require(self.stochastic, self, "stochastic", "true with --codes_from=prior, whose codes are noise")

    def copies(self, shots):
        """Return the number of codes that a class of `shots` support examples has."""
        return shots if self.codes_per_class == "example" else 1


@dataclass(frozen=True)
class DataConfig:
    """Which embeddings, from where."""

    data_path: str = _setting("", "folder that holds DATASET_NAME/CROP/SPLIT_embeddings.pkl; empty: the cache folder")
    dataset_name: str = _setting("miniImageNet", "miniImageNet, tieredImageNet, glyphs (built in), or your own folder")
    embedding_crop: str = _setting("center", "which embeddings of a published data set", CROPS)
    train_on_val: bool = _setting(False, "join the validation classes to the training classes")
    normalize_embeddings: bool = _setting(True, "scale every embedding to unit L2 norm")
    download: bool = _setting(True, "fetch a published data set that is missing")
    cache_dir: str = _setting("", "folder for downloads and converted tables; empty: the user's cache folder")

    def __post_init__(self):
        _require(bool(self.dataset_name), self, "dataset_name", "the name of a data set")
        _require(self.embedding_crop in CROPS, self, "embedding_crop", " or ".join(CROPS))


@dataclass(frozen=True)
class EpisodeConfig:
    """The shape of a task: N-way K-shot, and the queries of a meta-training task; a regression task has no classes."""

    num_classes: int = _setting(5, "ways: classes in a task")
    num_tr_examples_per_class: int = _setting(1, "shots: support examples of a class, support points in regression")
    num_val_examples_per_class: int = _setting(15, "queries of a class in meta-training, query points in regression")
    problem: str = _setting(
        "classification", "classification, or regression of sinusoids and lines (paper 4.1)", PROBLEMS
    )

    def __post_init__(self):
        _require_numbers(
            self,
            num_classes=(2, math.inf, "at least 2 classes"),
            num_tr_examples_per_class=_COUNT,
            num_val_examples_per_class=_COUNT,
        )
        _require(self.problem in PROBLEMS, self, "problem", " or ".join(PROBLEMS))


@dataclass(frozen=True)
class TrainingConfig:
    """The outer loop: batches, optimiser, gradient limits, validation, seed, devices."""

    metatrain_batch_size: int = _setting(12, "tasks in a meta-training step, over all replicas")
    metavalid_batch_size: int = _setting(200, "tasks evaluated at once in validation (speed and memory only)")
    metatest_batch_size: int = _setting(200, "tasks evaluated at once in testing (speed and memory only)")
    metavalid_tasks: int = _setting(2000, "tasks of a validation, the same ones every time")
    metavalid_queries: int = _setting(0, "queries of a class in validation; 0: all remaining examples")
    num_steps_limit: int = _setting(100_000, "meta-training steps")
    checkpoint_steps: int = _setting(1000, "steps from one validation and checkpoint to the next")
    log_steps: int = _setting(50, "steps from one row of metrics to the next")
    outer_lr: float = _setting(1e-4, "learning rate of Adam")
    outer_lr_schedule: str = _setting(
        "constant", "cosine: the learning rate of Adam falls to 0 at num_steps_limit along a half cosine", SCHEDULES
    )
    gradient_threshold: float = _setting(0.1, "largest absolute value of a meta-gradient element; 0: no limit")
    gradient_norm_threshold: float = _setting(0.1, "largest norm of a variable's meta-gradient; 0: no limit")
    seed: int = _setting(0, "seed of everything random in the run")
    distribution: str = _setting("auto", "auto: all GPUs if there are several; none; mirrored", DISTRIBUTIONS)
    jit: str = _setting("auto", "compile the step with XLA; auto: as measured best", JIT_MODES)

    def __post_init__(self):
        _require_numbers(
            self,
            metatrain_batch_size=_COUNT,
            metavalid_batch_size=_COUNT,
            metatest_batch_size=_COUNT,
            metavalid_tasks=(2, math.inf, "at least 2 tasks"),
            metavalid_queries=_COUNT_OR_ZERO,
            num_steps_limit=_COUNT,
            checkpoint_steps=_COUNT,
            log_steps=_COUNT,
            outer_lr=_POSITIVE,
            gradient_threshold=_WEIGHT,
            gradient_norm_threshold=_WEIGHT,
            seed=(0, 2**62, "a whole number from 0 to 2^62"),
        )
        _require(self.outer_lr_schedule in SCHEDULES, self, "outer_lr_schedule", " or ".join(SCHEDULES))
        _require(self.distribution in DISTRIBUTIONS, self, "distribution", " or ".join(DISTRIBUTIONS))
        _require(self.jit in JIT_MODES, self, "jit", " or ".join(JIT_MODES))


@dataclass(frozen=True)
class BaselineConfig:
    """Which algorithm adapts to a task, and the inner loop of those that LEO is compared with.

    MAML and Meta-SGD take dropout_rate, l2_penalty_weight, first_order and, in regression,
    inner_gradient_norm_threshold from LEOConfig, and nothing else.
    """

    algorithm: str = _setting("leo", "leo, or a baseline that descends from meta-learned weights", ALGORITHMS)
    maml_steps: int = _setting(10, "gradient steps of MAML and Meta-SGD on the weights")
    maml_lr: float = _setting(1.0, "learning rate of these steps: MAML's, and where Meta-SGD's learned ones start")

    def __post_init__(self):
        _require(self.algorithm in ALGORITHMS, self, "algorithm", " or ".join(ALGORITHMS))
        _require_numbers(self, maml_steps=(1, 1000, "a whole number of at least 1"), maml_lr=_POSITIVE)


@dataclass(frozen=True)
class RegressionConfig:
    """Few-shot regression: the networks, and the noise of the targets. The relation network has three layers.

    Defaults are the paper's, where it gives them; configs/regression.cfg has what works best here.

    References:
      Paper section 4.1 and appendix A. The table there says 16 units for the encoder, the text 32.
    """

    network_units: int = _setting(40, "units of the hidden layers of the network that a code is decoded to")
    network_layers: int = _setting(3, "layers of this network, the output included")
    encoder_units: int = _setting(32, "units of the encoder's hidden layers")
    encoder_layers: int = _setting(3, "layers of the encoder, its output, num_latents wide, included")
    relation_units: int = _setting(32, "units of the relation network's hidden layers")
    decoder_units: int = _setting(32, "units of the decoder's hidden layers")
    decoder_layers: int = _setting(3, "layers of the decoder, its output included")
    biases: bool = _setting(True, "biases in encoder and decoder; the last is where the decoded network starts")
    weight_spread: float = _setting(0.1, "initial spread of decoded weights, as a multiple of Glorot's")
    noise_stddev: float = _setting(0.3, "standard deviation of the noise on all targets")

    def __post_init__(self):
        layers = (1, 20, "a whole number from 1 to 20")
        _require_numbers(
            self,
            **{name: _COUNT for name in ("network_units", "encoder_units", "relation_units", "decoder_units")},
            **{name: layers for name in ("network_layers", "encoder_layers", "decoder_layers")},
            weight_spread=_WEIGHT,
            noise_stddev=_WEIGHT,
        )


# What may change from one start of a run to the next without making it another run.
_FREE_ON_RESUME = frozenset(
    {
        "data_path",
        "download",
        "cache_dir",
        "num_steps_limit",
        "metavalid_batch_size",
        "metatest_batch_size",
        "distribution",
    }
)


@dataclass(frozen=True)
class RunConfig:
    """Everything that defines a run; saved as config.json in its folder."""

    model: LEOConfig = LEOConfig()
    data: DataConfig = DataConfig()
    episodes: EpisodeConfig = EpisodeConfig()
    training: TrainingConfig = TrainingConfig()
    baseline: BaselineConfig = BaselineConfig()
    regression: RegressionConfig = RegressionConfig()

    def __post_init__(self):
        if self.episodes.problem == "regression":
            no_such = "{} with --problem=regression, see configs/regression.cfg"
            _require(self.model.dropout_rate == 0, self.model, "dropout_rate", no_such.format("0"))
            _require(self.model.codes_from == "encoder", self.model, "codes_from", no_such.format("encoder"))

    def to_json(self):
        """Return the configuration as a JSON text that `from_json` reads back equal."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text):
        """Build a configuration from `to_json`'s text.

        Raises:
          InputError: the text is not JSON, or has a section or field that this version does not know.
        """
        try:
            sections = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(
                f"The run's configuration is not JSON ({error}); expected a config.json by leo_tf."
            ) from None
        kinds = section_types()
        try:
            return cls(**{name: kinds[name](**values) for name, values in sections.items()})
        except (TypeError, KeyError, AttributeError) as error:
            raise InputError(
                f"The run's configuration does not fit this version of leo_tf ({error}); "
                "use the version that wrote it, or start a new run."
            ) from None

    def differences(self, other):
        """List the fields, `section.field: mine != theirs`, that make `other` a different run."""
        free = _FREE_ON_RESUME
        if self.training.outer_lr_schedule != "constant":  # which depends on where the run ends
            free -= {"num_steps_limit"}
        return [
            f"{section}.{name}: {mine!r} != {theirs!r}"
            for section in section_types()
            for name, mine, theirs in _fields_side_by_side(getattr(self, section), getattr(other, section))
            if mine != theirs and name not in free
        ]


def _fields_side_by_side(first, second):
    return [(f.name, getattr(first, f.name), getattr(second, f.name)) for f in dataclasses.fields(first)]


def section_types():
    """Return the dataclass of every section of `RunConfig` by name."""
    return {f.name: type(f.default) for f in dataclasses.fields(RunConfig)}
