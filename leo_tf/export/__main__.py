"""Export a run's best checkpoint as a SavedModel: python -m leo_tf.export --checkpoint_path=RUN --output=DIR"""

from pathlib import Path
from typing import Any

from absl import flags

from leo_tf.commands.logs import load_tensorflow
from leo_tf.commands.main import Command, run_command
from leo_tf.errors import InputError
from leo_tf.export.saved_model import MAX_EXAMPLES, export
from leo_tf.export.versions import LITERT_FILE, read_calibration, read_description


def main() -> None:
    flags.DEFINE_string("checkpoint_path", "runs/leo", "folder of the run")
    flags.DEFINE_string("output", "", "folder of the versions; the SavedModel is written to OUTPUT/VERSION")
    flags.DEFINE_integer("version", 0, "number of the version; 0: one more than the highest")
    flags.DEFINE_integer(
        "max_examples", MAX_EXAMPLES, "maximum number of support examples per request, in all of its tasks; 0: no limit"
    )
    about = "use the temperatures that evaluate.py --calibrate fitted; by default if the run has them"
    flags.DEFINE_bool("calibrated", None, about)
    flags.DEFINE_bool("images", False, "include the run's feature extractor: requests contain encoded JPEG or PNG")
    flags.DEFINE_string(
        "support",
        "",
        "folder with one folder of images per class: export a classifier fitted to these images, which returns class "
        "names",
    )
    flags.DEFINE_bool("unknown_class", False, "with support: one more class, for images of none of the classes")
    flags.DEFINE_bool("litert", False, "with support: also write a LiteRT model of decoded pixels")
    about = "Export a run's best checkpoint as a SavedModel, the next version in --output."
    usage = "python -m leo_tf.export"
    run_command(_export, Command(about, usage, f"{usage} --checkpoint_path=runs/quickstart --output=served/leo"))


def _export() -> int:
    values = flags.FLAGS
    if not values.output:
        raise InputError("No output was given; expected a folder for the versions, e.g. served/leo.", "output")
    if values.litert and not values.support:
        raise InputError(
            "litert=True was given without support; expected the folder of the images to fit to.", "litert", "support"
        )
    if values.unknown_class and not values.support:
        raise InputError(
            "unknown_class=True was given without support; leave it out: the SavedModel of a calibrated ProtoLEO "
            "returns the probability of an unknown class anyway.",
            *("unknown_class", "support"),
        )
    load_tensorflow()
    from leo_tf.export.image_classifier import ImageFewShotClassifier
    from leo_tf.export.image_model import export_fitted, export_images

    version = values.version or None
    if values.support:
        classifier = ImageFewShotClassifier(values.checkpoint_path, values.calibrated, values.unknown_class)
        path = export_fitted(classifier.fit_folder(values.support), values.output, version, values.litert)
    else:
        write: Any = export_images if values.images else export
        limits = {"max_examples": values.max_examples, "calibrated": values.calibrated}
        path = write(values.checkpoint_path, values.output, version, **limits)
    print(report(path))
    return 0


def report(path: Path) -> str:
    """Return the text that describes the SavedModel in `path`, which was exported from a run."""
    description = read_description(path)
    best, calibration = description["best"], read_calibration(path)
    if "extractor" in description:
        classes = f", fitted to {len(description['classes'])} classes" if "classes" in description else ""
        what = f"with its feature extractor {description['extractor']['name']}{classes}"
    else:
        scaled = "which it scales to unit length" if description["normalize_embeddings"] else "used as they are"
        what = f"for {description['embedding_dim']}-dimensional embeddings, {scaled}"
    lines = [
        f"Exported to {path}: {description['algorithm']} at step {best['step']}, validation accuracy "
        f"{100 * best['validation_accuracy']:.2f} %, {what}."
    ]
    if calibration:
        lines.append(f"  probabilities: calibrated, temperature {calibration}")
    if (path / LITERT_FILE).is_file():
        lines.append(f"  LiteRT model of decoded pixels: {path / LITERT_FILE}")
    signatures = description["signatures"]
    names = ("serving_default", "adapt", "predict", "embed")
    return "\n".join([*lines, *(f"  {name}: {signatures[name]}" for name in names if name in signatures)])


if __name__ == "__main__":
    main()
