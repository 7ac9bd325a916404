"""Adapt in this process, from a run, a SavedModel or a LEO alike."""

import functools
import math
import threading
import weakref
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from leo_tf.classification.leo import LEO
from leo_tf.errors import InputError
from leo_tf.export.saved_model import newest_version, read_description
from leo_tf.export.signatures import Signatures, require_leo
from leo_tf.learners import MetaLearner
from leo_tf.runs.load import load
from leo_tf.runs.run_dir import RunDirectory


class Served(NamedTuple):
    """What makes classifiers and how they are used; tensors as in `signatures.DOCUMENTATION`."""

    embedding_dim: int
    adapt: Callable  # (support_x, support_y) -> {"classifier"}
    normalize: bool  # whether embeddings are scaled to unit length first
    temperature: float  # of the probabilities
    transform: tuple | None = None  # (mean [dim], matrix [dim, dim]) of embeddings, NumPy arrays


_of_models: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()
_one_at_a_time = threading.RLock()  # threads that ask together wait for one copy


def serve(model):
    """Return the Served of a model; the same one for the same weights on disk, so that asking again is cheap.

    Args:
      model: a LEO trained on embeddings of unit length; or the folder of a run, of a SavedModel, or of its versions, of
        which the highest is taken.

    Raises:
      InputError: the folder holds none of these, or a SavedModel that is not a LEO's.
    """
    with _one_at_a_time:
        if isinstance(model, MetaLearner):
            return _of_model(model)
        folder = RunDirectory(model)  # expands ~
        version = newest_version(folder.path)
        if version is not None:
            return _of_saved_model(version.resolve())
        if not folder.config_file.exists():
            raise InputError(
                f"Neither a run nor a SavedModel in {model}; expected the checkpoint_path of a run or the output "
                "of leo_tf.export."
            )
        return _of_run(folder.path.resolve(), folder.best_checkpoint())


def _of_model(model):
    require_leo(model)
    if model not in _of_models:
        # A copy: what is kept must not refer to its own key.
        copy = LEO(model.config, model.embedding_dim, dtype=model.dtype_policy)
        _of_models[model] = copy, _of_leo(copy, normalize=True)
    copy, served = _of_models[model]
    copy.set_weights(model.get_weights())  # it may have been trained since
    return served._replace(transform=tuple(variable.numpy() for variable in copy.fixed_variables) or None)


@functools.lru_cache(maxsize=4)
def _of_run(path, checkpoint):
    """`checkpoint`, the best one now, is there to tell one state of the run from another."""
    del checkpoint
    return _of_leo(load(path), RunDirectory(path).config().data.normalize_embeddings)


@functools.lru_cache(maxsize=4)
def _of_saved_model(path):
    loaded = tf.saved_model.load(str(path))
    try:
        adapt = loaded.signatures["adapt"]
        dim = adapt.structured_input_signature[1]["support_x"].shape[-1]
    except KeyError:
        raise InputError(
            f"The SavedModel in {path} has the signatures {sorted(loaded.signatures)}; expected adapt, of "
            "leo_tf.export."
        ) from None

    def keep(**tensors):  # a signature alone does not keep its variables alive
        return loaded and adapt(**tensors)

    return Served(dim, keep, *facts_of(path))


def facts_of(path):
    """Return whether a SavedModel scales embeddings to unit length, and its temperature, from the note beside it.

    Raises:
      InputError: the note is missing, damaged, or of a model that transforms embeddings.
    """
    description = read_description(path)
    model, normalize = description.get("model"), description.get("normalize_embeddings")
    temperature = description.get("temperature", 1.0)
    if not isinstance(model, dict) or not isinstance(normalize, bool) or not _is_temperature(temperature):
        raise InputError(
            f"The note beside the SavedModel in {path} has normalize_embeddings {normalize!r:.80} and temperature "
            f"{temperature!r:.80}; expected what leo_tf.export wrote. Export it again."
        )
    if model.get("feature_transform", "none") != "none":
        raise InputError(
            f"The SavedModel in {path} transforms embeddings, which FewShotClassifier takes from a run only; give the "
            "checkpoint_path of its run, or call the SavedModel's own signatures."
        )
    return normalize, float(temperature)


def _is_temperature(value):
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def _of_leo(model, normalize):
    require_leo(model)
    function, specs = Signatures(model, normalize).functions["adapt"]
    adapt = tf.function(function, input_signature=specs, autograph=False)
    fixed = tuple(variable.numpy() for variable in model.fixed_variables)
    return Served(model.embedding_dim, adapt, normalize, 1.0, fixed or None)
