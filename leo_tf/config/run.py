"""The configuration of a run: a problem, an algorithm, and their settings by section; to JSON and back."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from leo_tf.config.data import DataConfig, EpisodeConfig
from leo_tf.config.leo import LEOConfig
from leo_tf.config.algorithms import ALGORITHMS, resolve
from leo_tf.config.data import DataConfig, EpisodeConfig
from leo_tf.config.regression import RegressionConfig
from leo_tf.config.section import require, setting
from leo_tf.config.training import TrainingConfig
from leo_tf.errors import InputError

PROBLEMS = ("classification", "regression")

# Settings that may change when a run is resumed.
_FREE_ON_RESUME = frozenset(
    {
        *("data_path", "download", "cache_dir", "num_steps_limit", "metavalid_batch_size", "metatest_batch_size"),
        *("distribution", "patience", "init_from"),
    }
)
# These too, unless validations are counted.
_STEPS_BETWEEN = frozenset({"log_steps", "checkpoint_steps"})


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
            if not isinstance(getattr(self, name), expected):
                raise InputError(
                    f"RunConfig got {type(getattr(self, name)).__name__} for {name}; expected {expected.__name__} with "
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
        require(not self.episodes.metatrain_ways, self.episodes, "metatrain_ways", f"0 {no_classes}")
        see = "with problem=regression, see configs/regression.cfg"
        require(self.model.dropout_rate == 0, self.model, "dropout_rate", f"0 {see}")
        samples = getattr(self.model, "stochastic", False)
        if samples:
            require(self.model.codes_from == "encoder", self.model, "codes_from", f"encoder {see}")
        else:
            self.regression.require_one_sample()

    def flat(self) -> dict[str, Any]:
        """Return all settings that apply to the problem and algorithm, {name: value}."""
        names = section_types(self.algorithm).keys() - ({"regression"} if self.problem != "regression" else set())
        sections = (dataclasses.asdict(getattr(self, name)) for name in sorted(names))
        own = {"problem": self.problem, "algorithm": self.algorithm}
        return own | {name: value for section in sections for name, value in section.items()}

    def with_settings(self, values: Mapping[str, Any]) -> "RunConfig":
        """Return the configuration with these settings, {name: value}, in place of its own.

        Raises:
          InputError: a name that it does not have, or a value that it refuses.
        """
        known = {
            name: [field.name for field in dataclasses.fields(kind)]
            for name, kind in section_types(self.algorithm).items()
        }
        unknown = set(values) - {"problem", *(setting for names in known.values() for setting in names)}
        if unknown:
            raise InputError(
                f"Got {', '.join(sorted(unknown))}; expected settings of a run (train.py --help lists them)."
            )
        sections = {
            name: dataclasses.replace(getattr(self, name), **{n: values[n] for n in names if n in values})
            for name, names in known.items()
        }
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
        if isinstance(values, dict) and values.get("kind") == "pretraining":
            raise InputError(
                "The run pre-trained a feature extractor with leo_tf.features.pretrain; expected a run of train.py. "
                "Make embeddings with python -m leo_tf.features.extract, and train on them."
            )
        version = values.pop("leo_tf", "an unknown version") if isinstance(values, dict) else "an unknown version"
        try:
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
        found = [f"{n}: {a!r} != {b!r}" for n in ("problem", "algorithm") for a, b in [_pair(self, other, n)] if a != b]
        if found:
            return found
        free = _FREE_ON_RESUME
        if not (self.training.patience or other.training.patience):
            free |= _STEPS_BETWEEN
        if self.training.outer_lr_schedule != "constant":  # which depends on where the run ends
            free -= {"num_steps_limit"}
        for section in section_types(self.algorithm):
            mine, theirs = _pair(self, other, section)
            for each in dataclasses.fields(mine):
                a, b = _pair(mine, theirs, each.name)
                if a != b and each.name not in free:
                    found.append(f"{section}.{each.name}: {a!r} != {b!r}")
        return found

    def changes(self, other: "RunConfig") -> dict[str, list]:
        """Return {name: [mine, theirs]} of all settings that differ, including those that a resumed run may change."""
        mine, theirs = self.flat(), other.flat()
        return {name: [mine[name], theirs.get(name)] for name in mine if mine[name] != theirs.get(name)}


def _pair(first: Any, second: Any, name: str) -> tuple[Any, Any]:
    return getattr(first, name), getattr(second, name)


def section_types(algorithm: str = "leo") -> dict[str, Any]:
    """Return the dataclass of every section of an algorithm's `RunConfig` by name.

    Raises:
      KeyError: there is no such algorithm.
    """
    own = {name: getattr(ALGORITHMS[algorithm], name) for name in ("model", "proto_leo")}
    types: dict[str, Any] = {f.name: f.type for f in dataclasses.fields(RunConfig) if not f.metadata}
    types |= {name: path and resolve(path) for name, path in own.items()}
    return {name: kind for name, kind in types.items() if kind}
