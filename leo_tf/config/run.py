"""The configuration of a run: a problem, an algorithm, and their settings by section; to JSON and back."""

import dataclasses
import json
import pkgutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from leo_tf.config.algorithms import ALGORITHMS
from leo_tf.config.data import DataConfig, EpisodeConfig
from leo_tf.config.regression import RegressionConfig
from leo_tf.config.section import require, setting
from leo_tf.config.training import TrainingConfig
from leo_tf.errors import InputError

PROBLEMS = ("classification", "regression")

# Settings that may change when a run is resumed, the last two only without patience, which counts validations.
_FREE_ON_RESUME = frozenset(
    {
        *("data_path", "download", "cache_dir", "num_steps_limit", "metavalid_batch_size", "metatest_batch_size"),
        *("distribution", "patience", "init_from", "log_steps", "checkpoint_steps"),
    }
)


@dataclass(frozen=True)
class RunConfig:
    """The settings of a run; saved as config.json in its directory.

    `model` is the algorithm's LEOConfig or MAMLConfig, `proto_leo` is set with algorithm "proto_leo" alone; left out,
    they have the algorithm's defaults.

    Raises:
      InputError: a value is out of bounds or incompatible with another one; the message names the setting.

    Example:
      >>> config = leo_tf.RunConfig(leo_tf.LEOConfig(kl_weight=0.1), training=leo_tf.RunConfig().training)
      >>> leo_tf.RunConfig.from_json(config.to_json()) == config
      True
    """

    model: Any = None
    data: DataConfig = field(default_factory=DataConfig)
    episodes: EpisodeConfig = field(default_factory=EpisodeConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    regression: RegressionConfig = field(default_factory=RegressionConfig)
    proto_leo: Any = None
    problem: str = setting(
        "classification",
        "classification, or regression of sinusoids and lines (paper 4.1)",
        choices=PROBLEMS,
        group="Run",
    )
    algorithm: str = setting("leo", "the meta-learner", choices=tuple(ALGORITHMS), group="Run")

    def __post_init__(self) -> None:
        require(self.problem in PROBLEMS, self, "problem", " or ".join(PROBLEMS))
        require(self.algorithm in ALGORITHMS, self, "algorithm", " or ".join(ALGORITHMS))
        types = section_types(self.algorithm)
        for name in ("model", "proto_leo"):
            if getattr(self, name) is None and name in types:
                object.__setattr__(self, name, types[name]())
        for name in ("proto_leo", *types):
            expected = types.get(name, type(None))
            found = type(getattr(self, name))
            if not issubclass(found, expected):
                raise InputError(
                    f"RunConfig got {found.__name__} for {name}; expected {expected.__name__} with "
                    f"algorithm={self.algorithm!r}."
                )
        if self.problem == "regression":
            self._require_regression()

    def _require_regression(self) -> None:
        having = [name for name, each in ALGORITHMS.items() if each.regression]
        expected = f"{' or '.join(having)} with problem=regression"
        require(ALGORITHMS[self.algorithm].regression, self, "algorithm", expected)
        no_classes = "with problem=regression, whose tasks have no classes"
        require(self.episodes.tasks_within == "all", self.episodes, "tasks_within", f"all {no_classes}")
        require(not self.episodes.metatrain_ways, self.episodes, "metatrain_ways", f"none {no_classes}")
        require(not self.episodes.metatrain_shots, self.episodes, "metatrain_shots", f"none {no_classes}")
        see = "with problem=regression, see configs/regression.cfg"
        require(self.model.dropout_rate == 0, self.model, "dropout_rate", f"0 {see}")
        if getattr(self.model, "stochastic", False):
            require(self.model.codes_from == "encoder", self.model, "codes_from", f"encoder {see}")
        else:
            self.regression.require_one_sample()

    def flat(self) -> dict[str, Any]:
        """Return all settings that apply to the problem and algorithm, {name: value}."""
        values = {"problem": self.problem, "algorithm": self.algorithm}
        for section in sorted(section_types(self.algorithm)):
            if section != "regression" or self.problem == "regression":
                values |= dataclasses.asdict(getattr(self, section))
        return values

    def with_settings(self, values: Mapping[str, Any]) -> "RunConfig":
        """Return the configuration with these settings, {name: value}; raise InputError for one that it refuses."""
        sections, unknown = {}, set(values) - {"problem"}
        for name, kind in section_types(self.algorithm).items():
            given = {field.name: values[field.name] for field in dataclasses.fields(kind) if field.name in values}
            sections[name] = dataclasses.replace(getattr(self, name), **given)
            unknown -= given.keys()
        if unknown:
            raise InputError(
                f"Got {', '.join(sorted(unknown))}; expected settings of a run (train.py --help lists them)."
            )
        return dataclasses.replace(self, **sections, problem=values.get("problem", self.problem))

    def to_json(self) -> str:
        """Return the configuration, and the version that wrote it, as a JSON text that `from_json` reads back."""
        from leo_tf import __version__

        sections = {name: value for name, value in dataclasses.asdict(self).items() if value is not None}
        first = {"leo_tf": __version__, **{name: sections.pop(name) for name in ("problem", "algorithm")}}
        return json.dumps(first | sections, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "RunConfig":
        """Build a configuration from `to_json`'s text.

        Raises:
          InputError: the text is not JSON, or has a section or field that this version does not know.
        """
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:  # also of a number with thousands of digits
            raise InputError(
                f"The run's configuration is not JSON ({error}); expected a config.json by leo_tf."
            ) from None
        version = "an unknown version"
        try:
            version = values.pop("leo_tf", version)
            if values.get("kind") == "pretraining":
                raise InputError(
                    "The run pre-trained a feature extractor with leo_tf.features.pretrain; expected a run of "
                    "train.py. Make embeddings with python -m leo_tf.features.extract, and train on them."
                )
            kinds = section_types(values.get("algorithm", "leo"))
            return cls(**{name: kinds[name](**v) if name in kinds else v for name, v in values.items()})
        except (TypeError, KeyError, AttributeError) as error:
            raise InputError(
                f"The run's configuration, written by leo_tf {version}, does not fit this version ({error}); "
                "use the version that wrote it, or start a new run."
            ) from None

    def resumed_from(self, run: "RunConfig") -> "RunConfig":
        """Return the configuration with `init_from`, which only a new run reads, as in the RunConfig `run`."""
        training = dataclasses.replace(self.training, init_from=run.training.init_from)
        return dataclasses.replace(self, training=training)

    def differences(self, other: "RunConfig") -> list[str]:
        """List the settings, `section.name: mine != theirs`, that make `other` a different run."""
        found = _different(self, other, ("problem", "algorithm"), "")
        if found:
            return found
        free = _FREE_ON_RESUME
        if self.training.patience or other.training.patience:
            free -= {"log_steps", "checkpoint_steps"}
        if self.training.outer_lr_schedule != "constant":  # which depends on where the run ends
            free -= {"num_steps_limit"}
        for section in section_types(self.algorithm):
            mine = getattr(self, section)
            names = [field.name for field in dataclasses.fields(mine) if field.name not in free]
            found += _different(mine, getattr(other, section), names, f"{section}.")
        return found

    def changes(self, other: "RunConfig") -> dict[str, list]:
        """Return {name: [mine, theirs]} of all settings that differ, including those that a resumed run may change."""
        mine, theirs = self.flat(), other.flat()
        return {name: [mine[name], theirs.get(name)] for name in mine if mine[name] != theirs.get(name)}


def _different(mine: Any, theirs: Any, names: Iterable[str], prefix: str) -> list[str]:
    pairs = ((name, getattr(mine, name), getattr(theirs, name)) for name in names)
    return [f"{prefix}{name}: {a!r} != {b!r}" for name, a, b in pairs if a != b]


def section_types(algorithm: str = "leo") -> dict[str, Any]:
    """Return the dataclass of every section of an algorithm's `RunConfig` by name; KeyError for an unknown one."""
    types: dict[str, Any] = {f.name: f.type for f in dataclasses.fields(RunConfig) if not f.metadata}
    for name in ("model", "proto_leo"):
        path = getattr(ALGORITHMS[algorithm], name)
        types[name] = path and pkgutil.resolve_name(path)
    return {name: kind for name, kind in types.items() if kind}
