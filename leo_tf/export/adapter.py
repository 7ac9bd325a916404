"""Adaptation in this process with the model of a run, a SavedModel or a learner."""

import functools
import threading
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf

from leo_tf.config import learner_class
from leo_tf.errors import InputError
from leo_tf.export.saved_model import copy_of, read_transform, require_exportable
from leo_tf.export.signatures import Signatures
from leo_tf.export.versions import newest_version, read_calibration, read_description
from leo_tf.files import identity
from leo_tf.learners import MetaLearner
from leo_tf.runs.calibration import RunCalibration
from leo_tf.runs.load import load
from leo_tf.runs.run_dir import RunDirectory
from leo_tf.transforms import FittedTransform


class Adapter(NamedTuple):
    """Function that makes classifiers of support sets, and how these classifiers are used."""

    embedding_dim: int
    adapt: Callable  # (support_x, support_y) -> {"classifier"}; tensors as in `signatures.DOCUMENTATION`
    has_unknown: bool  # whether classifiers have the log-ratios of an unknown class
    normalize: bool  # whether embeddings are scaled to unit length first
    transform: FittedTransform | None  # of the embeddings
    adapt_weighted: Callable | None = None  # as `adapt`, and of sample_weight [1, examples]; None of a SavedModel


_copies: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # learner: its copy and the copy's Adapter
_lock = threading.RLock()  # threads that start together wait for one copy


def load_adapter(model: Any, calibrated: bool | None = None, unknown_class: bool = False) -> Adapter:
    """Return the Adapter of a learner, or of the folder of a run, a SavedModel or SavedModel versions.

    It is cached as long as the files on disk stay the same. Its classifiers are calibrated if the run or SavedModel
    is; `calibrated` or `unknown_class` may demand it, and calibrated=False leaves a run's out.
    """
    with _lock:
        adapter = _find_adapter(model, True if unknown_class else calibrated, unknown_class)
    if unknown_class and not adapter.has_unknown:
        raise _without_unknown(model)
    return adapter


def _find_adapter(model: Any, calibrated: bool | None, unknown_class: bool) -> Adapter:
    if isinstance(model, MetaLearner):
        if unknown_class and not model.has_unknown:
            raise _without_unknown(model)
        if calibrated:
            raise _uncalibrated(model, unknown_class)
        return _of_learner(model)
    folder = RunDirectory(model)
    version = newest_version(folder.path)
    if version is not None:
        if calibrated and read_calibration(version) is None:
            raise _uncalibrated(version, unknown_class)
        return _of_saved_model(version.resolve(), _state(version.rglob("*")))
    if not folder.config_file.exists():
        raise InputError(
            f"Neither a run nor a SavedModel in {model}; expected the checkpoint_path of a run or the output "
            "of leo_tf.export.",
            "checkpoint_path",
        )
    config = folder.config()
    if unknown_class and not learner_class(config.algorithm, config.problem).has_unknown:
        raise _without_unknown(model)  # before it is said that it is not calibrated, which would not help
    files = folder.config_file, folder.data_file, folder.calibration_file, *folder.best.glob("*")
    return _of_run(folder.path.resolve(), _state(files), calibrated)


def _state(files: Iterable[Path]) -> tuple:
    """Return what distinguishes the contents of files in the cache, before they are read."""
    return tuple(sorted(tuple(identity(file)) for file in files))


def _uncalibrated(model: Any, unknown_class: bool) -> InputError:
    given = "unknown_class" if unknown_class else "calibrated"
    return InputError(
        f"{given}=True was given with {model}, which is not calibrated; expected the folder of a run, or a SavedModel "
        "exported with calibrated=True."
    )


def _without_unknown(model: Any) -> InputError:
    return InputError(
        f"unknown_class=True was given with {model}, which has no unknown class; expected a ProtoLEO that was "
        "calibrated on at least four validation classes. Train one (configs/proto_leo.cfg) and calibrate it "
        "(evaluate.py --calibrate), or leave unknown_class out."
    )


def _of_learner(model: Any) -> Adapter:
    require_exportable(model)
    if model not in _copies:
        copy = copy_of(model)  # because a value must not refer to its own weak key
        _copies[model] = copy, _adapter(copy, normalize=True)
    copy, adapter = _copies[model]
    copy.set_weights(model.get_weights())  # the model may have been trained since
    return adapter._replace(transform=_transform_of(copy))


@functools.lru_cache(maxsize=4)
def _of_run(path: Path, state: tuple, calibrated: bool | None) -> Adapter:
    del state
    folder, model = RunDirectory(path), load(path)
    require_exportable(model)
    calibration = folder.calibration(model, calibrated)
    return _adapter(model, folder.config().data.normalize_embeddings, calibration)


@functools.lru_cache(maxsize=4)
def _of_saved_model(path: Path, state: tuple) -> Adapter:
    del state
    loaded = tf.saved_model.load(str(path))
    try:
        adapt = loaded.signatures["adapt"]
        dim = adapt.structured_input_signature[1]["support_x"].shape[-1]
    except KeyError:
        raise InputError(
            f"The SavedModel in {path} has the signatures {sorted(loaded.signatures)}; expected adapt, of "
            "leo_tf.export."
        ) from None

    def keep_alive(**tensors: tf.Tensor) -> Any:  # a signature alone does not keep its variables alive
        return loaded and adapt(**tensors)

    calibration = read_calibration(path)
    return Adapter(dim, keep_alive, calibration is not None and calibration.has_unknown, *read_preparation(path))


def read_preparation(path: Path) -> tuple[bool, FittedTransform | None]:
    """Return an exported model's (normalize, transform), as in Adapter."""
    description: Any = read_description(path)
    normalize, has_transform = (description.get(name) for name in ("normalize_embeddings", "has_transform"))
    if not isinstance(normalize, bool) or not isinstance(has_transform, bool):
        raise InputError(
            f"The description of the SavedModel in {path} has normalize_embeddings {normalize!r:.80} and has_transform "
            f"{has_transform!r:.80}; expected what leo_tf.export wrote. Export the model again."
        )
    return normalize, read_transform(path) if has_transform else None


def _adapter(model: Any, normalize: bool, calibration: RunCalibration | None = None) -> Adapter:
    signatures = Signatures(model, normalize, calibration=calibration)
    function, specs = signatures.functions["adapt"]
    weighted = [*specs, tf.TensorSpec([None, None], tf.float32, "sample_weight")]
    adapt, adapt_weighted = (tf.function(function, each, autograph=False) for each in (specs, weighted))
    transform = _transform_of(model)
    return Adapter(model.embedding_dim, adapt, signatures.has_unknown, normalize, transform, adapt_weighted)


def _transform_of(model: Any) -> FittedTransform | None:
    return None if model.feature_transform is None else model.feature_transform.fitted
