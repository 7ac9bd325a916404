"""Export of a trained model as a SavedModel."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from leo_tf.errors import InputError
from leo_tf.evaluation.progress import Progress
from leo_tf.export.versions import EXTRA, require_new_version, write_version
from leo_tf.files import npz
from leo_tf.files.reports import versions
from leo_tf.runs.load import load
from leo_tf.runs.run_dir import RunDirectory
from leo_tf.transforms import FittedTransform

MAX_EXAMPLES = 2000  # in one task; adapting to them takes two seconds on two cores
_TRANSFORM = EXTRA / "transform.npz"


def export(
    model: Any,
    output: str | Path,
    version: int | None = None,
    normalize: bool | None = None,
    max_examples: int = MAX_EXAMPLES,
    calibrated: bool | None = None,
) -> Path:
    """Write `output/<version>/`, a SavedModel for TensorFlow Serving, the C API or any Python with TensorFlow.

    Args:
      model: the folder of a run, whose best checkpoint is exported, or a LEO or ProtoLEO.
      output: folder of the versions.
      version: number of the version; default one more than the highest.
      normalize: for a model that is not a run: whether the SavedModel scales embeddings to unit length, as
        `EmbeddingTable` does by default (default True).
      max_examples: maximum number of support examples per request, in all of its tasks; the time of adaptation grows
        with the square of a task's examples. 0 for no limit.
      calibrated: for a run: whether probabilities use the temperatures that `evaluate.py --calibrate` fitted; by
        default if the run has them. The SavedModel of a ProtoLEO then also returns the probability of an unknown class.

    Returns:
      Folder of the version.

    Raises:
      InputError: there is no such run, the version exists, the run is not calibrated, or the folder cannot be written.

    Example:
      >>> leo_tf.export.export(leo_tf.LEO(leo_tf.LEOConfig(num_latents=4), embedding_dim=8, seed=0), "served/leo")
      PosixPath('served/leo/1')
    """
    output = require_new_version(output, version, max_examples)
    trained, normalize, description = load_source(model, normalize)
    of_run = isinstance(model, str | Path)
    if calibrated and not of_run:
        raise InputError(
            "calibrated=True was given with a model; expected the folder of a run, which has a calibration.",
            "calibrated",
        )
    calibration = RunDirectory(model).calibration(trained, calibrated) if of_run else None
    from leo_tf.export.signatures import Signatures

    plain = copy_of(trained)
    signatures = Signatures(plain, normalize, max_examples, calibration)
    details = {
        "max_examples": max_examples,
        "calibration": calibration and calibration.record(),
        "has_transform": plain.feature_transform is not None,
        "classifier_dim": signatures.classifier_dim,
        "signatures": signatures.documentation,
    }

    def write(folder: Path) -> None:
        write_functions(signatures.functions, [plain], folder)
        if plain.feature_transform is not None:
            npz.write(folder / _TRANSFORM, **plain.feature_transform.fitted._asdict())

    return write_version(output, version, write, description | details)


def require_exportable(model: Any) -> None:
    """Raise InputError for a learner that cannot be exported."""
    if not model.exportable:
        raise InputError(
            f"Got a model of {model.algorithm} ({type(model).__name__}), which cannot be exported; expected LEO or "
            "ProtoLEO for classification."
        )


def load_source(model: Any, normalize: bool | None = None) -> tuple[Any, bool, dict[str, Any]]:
    """Return (learner, normalize, content of leo.json) of a run's folder or of a learner; arguments as in `export`."""
    if not isinstance(model, str | Path):
        require_exportable(model)
        normalize = normalize is not False
        return model, normalize, _description(model, normalize)
    if normalize is not None:
        raise InputError(f"normalize={normalize} was given with the run {model}; expected None: the run knows.")
    folder = RunDirectory(model)
    config, loaded = folder.config(), load(folder.path)
    require_exportable(loaded)
    data = {name: getattr(config.data, name) for name in ("dataset_name", "embedding_crop", "train_on_val")}
    initialization = folder.initialization()
    of_run = {
        "data": data | {name: digest for name, digest in folder.data().items() if name.endswith("digest")},
        "episodes": dataclasses.asdict(config.episodes),
        "initialization": initialization.record() if initialization else None,
        "best": {"validation_accuracy": folder.best_value("accuracy"), "step": folder.best_step()},
    }
    normalize = config.data.normalize_embeddings
    return loaded, normalize, _description(loaded, normalize) | of_run


def read_transform(path: Path) -> FittedTransform:
    """Return the transform of an exported model."""
    what = "the transform that leo_tf.export writes beside a SavedModel"
    return FittedTransform(**npz.read(path / _TRANSFORM, what, mean=("f", 1), matrix=("f", 2)))


def copy_of(model: Any) -> Any:
    """Return a copy of a learner, whose variables belong to no distribution strategy."""
    copy = type(model).from_config(model.get_config())
    copy.set_weights(model.get_weights())
    return copy


def write_functions(
    functions: Mapping[str, tuple[Callable, Sequence[Any]]], layers: Sequence[Any], folder: Path
) -> None:
    """Write a SavedModel of {signature: (function, its TensorSpecs)}; `layers` have the functions' variables."""
    import keras

    archive = keras.export.ExportArchive()
    for layer in layers:
        archive.track(layer)
    with Progress("exporting", len(functions) + 1, "parts") as progress:
        for name, (function, specs) in functions.items():
            archive.add_endpoint(name, function, input_signature=specs)
            progress.add()
        archive.write_out(folder, verbose=False)
        progress.add()


def _description(model: Any, normalize: bool) -> dict[str, Any]:
    settings = {name: value for config in model.configs for name, value in dataclasses.asdict(config).items()}
    return {
        "format": 1,
        "algorithm": model.algorithm,
        "model": settings,
        "embedding_dim": model.embedding_dim,
        "normalize_embeddings": normalize,
        "versions": versions(),
    }
