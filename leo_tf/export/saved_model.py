"""Write a LEO as a versioned SavedModel, whole or not at all."""

import dataclasses
import json
import os
import platform
import shutil
from pathlib import Path
from typing import Any

import leo_tf
from leo_tf.errors import InputError
from leo_tf.evaluation.progress import Progress
from leo_tf.files import expanded, read_json
from leo_tf.runs.load import load
from leo_tf.runs.run_dir import RunDirectory

MAX_EXAMPLES = 2000  # of one task, two seconds on two cores
LITERT_FILE = Path("assets.extra", "model.tflite")
_DESCRIPTION = Path("assets.extra", "leo.json")  # a folder that TensorFlow Serving leaves to the user


def export(model, output, version=None, normalize=None, max_examples=MAX_EXAMPLES, calibrated=False):
    """Write `output/<version>/`, a SavedModel for TensorFlow Serving, the C API or any Python with TensorFlow.

    Args:
      model: the folder of a run, whose best checkpoint is taken, or a LEO.
      output: folder of the versions.
      version: int of at least 1; default one more than the highest there.
      normalize: with a LEO: whether the SavedModel scales embeddings to unit length, as `EmbeddingTable` does by
        default (default True). A run knows.
      max_examples: most support examples of a request, of all tasks together, since the time grows with the square of
        a task's; 0 for no limit.
      calibrated: with a run: whether probabilities are at the temperature that `evaluate.py --calibrate` fitted.

    Returns:
      Path of the version's folder.

    Raises:
      InputError: no such run, the version exists, the run is not calibrated, or the folder cannot be written.

    Example:
      >>> leo_tf.export.export(leo_tf.LEO(leo_tf.LEOConfig(num_latents=4), embedding_dim=8, seed=0), "served/leo")
      PosixPath('served/leo/1')
    """
    output = require_free(output, version)
    require_max_examples(max_examples)
    temperature = _temperature_of(model) if calibrated else 1.0
    model, normalize, description = model_of(model, normalize)
    description |= {"max_examples": max_examples, "temperature": temperature}

    def write(folder):
        from leo_tf.export.signatures import Signatures

        _write(Signatures, model, (normalize, max_examples, temperature), folder)

    return write_version(output, version, write, description)


def require_max_examples(max_examples):
    """Raise InputError where it is no limit."""
    if max_examples < 0:
        raise InputError(f"max_examples={max_examples} was given; expected a whole number of at least 0.")


def require_free(output, version):
    """Return the folder of the versions; raise InputError where the version is impossible or there already."""
    output = expanded(output)
    if version is not None and version < 1:
        raise InputError(f"Version {version} was given; expected a whole number of at least 1.")
    if version is not None and (output / str(version)).exists():
        raise InputError(f"{output / str(version)} exists; give another version, or none to take the next one.")
    return output


def write_version(output, version, write, description):
    """Write a version and the note beside it, whole or not at all.

    Args:
      output: folder of the versions.
      version: int, or None for the next one.
      write: function of a folder that writes the SavedModel into it.
      description: dict that goes to JSON.

    Returns:
      Path of the version's folder.

    Raises:
      InputError: it cannot be written.
    """
    import tensorflow as tf

    try:
        output.mkdir(parents=True, exist_ok=True)
        target = output / str(version or 1 + max(_versions(output), default=0))
        temporary = output / f"{target.name}.{os.getpid()}.tmp"  # not a number: a server that watches ignores it
        temporary.mkdir()
        try:
            write(temporary)
            (temporary / _DESCRIPTION).parent.mkdir(exist_ok=True)
            (temporary / _DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
            os.rename(temporary, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except (OSError, tf.errors.OpError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise InputError(
            f"Cannot write a version in {output} ({reason}); give an output that can be written."
        ) from None
    return target


def read_description(path):
    """Return what `export` noted beside the SavedModel in `path`: configuration, data, versions.

    Raises:
      InputError: there is no such note, or it is damaged.
    """
    what = "a folder that leo_tf.export wrote"
    if not (Path(path) / _DESCRIPTION).is_file():
        raise InputError(f"No {_DESCRIPTION} in {path}; expected {what}.")
    description = read_json(Path(path) / _DESCRIPTION, f"what leo_tf.export notes in {what}")
    if not isinstance(description, dict):
        raise InputError(f"{Path(path) / _DESCRIPTION} is damaged or something else; expected {what}.")
    return description


def newest_version(path):
    """Return the SavedModel folder that `path` is or holds the versions of, the highest one; None if there is none."""
    path = Path(path)
    candidates = [path, *(path / str(version) for version in sorted(_versions(path), reverse=True))]
    return next((folder for folder in candidates if (folder / "saved_model.pb").is_file()), None)


def _versions(folder):
    return [int(child.name) for child in folder.glob("*") if child.name.isdecimal()]


def model_of(model, normalize=None):
    """Return (LEO, whether to normalise, description) of a run's folder or a LEO."""
    from leo_tf.export.signatures import require_leo

    if not isinstance(model, str | os.PathLike):
        normalize = True if normalize is None else normalize
        require_leo(model)
        return model, normalize, _describe(model, normalize)
    if normalize is not None:
        raise InputError(f"normalize={normalize} was given with the run {model}; expected None: the run knows.")
    folder = RunDirectory(model)
    config = folder.config()
    loaded, normalize = load(folder.path), config.data.normalize_embeddings
    require_leo(loaded)
    data = {name: getattr(config.data, name) for name in ("dataset_name", "embedding_crop", "train_on_val")}
    data |= {name: digest for name, digest in folder.data().items() if name.endswith("digest")}
    best = {"validation_accuracy": folder.best_value("accuracy"), "step": folder.best_step()}
    return (
        loaded,
        normalize,
        _describe(
            loaded,
            normalize,
            data=data,
            episodes=dataclasses.asdict(config.episodes),
            best=best,
        ),
    )


def _temperature_of(model):
    if not isinstance(model, str | os.PathLike):
        raise InputError("calibrated=True was given with a LEO; expected the folder of a run, which has a temperature.")
    return RunDirectory(model).temperature()


def _describe(model, normalize, **of_run):
    import keras
    import tensorflow as tf

    from leo_tf.export.signatures import DOCUMENTATION

    description: dict[str, Any] = {
        "format": 1,
        "model": dataclasses.asdict(model.config),
        "embedding_dim": model.embedding_dim,
        "normalize_embeddings": normalize,
        **of_run,
        "signatures": DOCUMENTATION,
        "versions": {
            "leo_tf": leo_tf.__version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "python": platform.python_version(),
        },
    }
    return description


def _write(signatures, model, options, folder):
    from leo_tf.classification.leo import LEO

    plain = LEO(model.config, model.embedding_dim, dtype=model.dtype_policy)  # variables of no distribution strategy
    plain.set_weights(model.get_weights())
    write_functions(signatures(plain, *options).functions, [plain], folder)


def write_functions(functions, models, folder):
    """Write a SavedModel of functions, {signature: (function, TensorSpecs)}, over Keras models."""
    import keras

    archive = keras.export.ExportArchive()
    for model in models:
        archive.track(model)
    with Progress("exporting", len(functions) + 1, "parts") as progress:
        for name, (function, specs) in functions.items():
            archive.add_endpoint(name, function, input_signature=specs)
            progress.add()
        archive.write_out(folder, verbose=False)
        progress.add()
