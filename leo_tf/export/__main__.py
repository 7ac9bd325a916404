"""Export a run's best checkpoint as a SavedModel: python -m leo_tf.export --checkpoint_path=RUN --output=DIR"""

from absl import flags

from leo_tf.commands.logs import load_tensorflow
from leo_tf.commands.main import Command, run_command
from leo_tf.errors import InputError
from leo_tf.export.saved_model import LITERT_FILE, MAX_EXAMPLES, export, read_description


def main():
    """Define the flags and run."""
    flags.DEFINE_string("checkpoint_path", "runs/leo", "folder of the run")
    flags.DEFINE_string("output", "", "folder of the versions; the SavedModel goes to OUTPUT/VERSION")
    flags.DEFINE_integer("version", 0, "number of the version; 0: one more than the highest there")
    flags.DEFINE_integer(
        "max_examples", MAX_EXAMPLES, "most support examples of a request, of all its tasks together; 0: no limit"
    )
    flags.DEFINE_bool("calibrated", False, "probabilities at the temperature that evaluate.py --calibrate fitted")
    flags.DEFINE_bool("images", False, "with the run's feature extractor inside: requests bring files of JPEG or PNG")
    flags.DEFINE_string(
        "support",
        "",
        "folder with a folder of images for each class: a classifier fitted to these, files to class names",
    )
    flags.DEFINE_bool("litert", False, "with support: a LiteRT model too, of decoded pixels")
    about = "Write a run's best checkpoint as a SavedModel, the next version in --output."
    usage = "python -m leo_tf.export"
    run_command(_export, Command(about, usage, f"{usage} --checkpoint_path=runs/quickstart --output=served/leo"))


def _export():
    values = flags.FLAGS
    if not values.output:
        raise InputError(
            "No --output was given; expected the folder to write the version in, e.g. --output=served/leo."
        )
    if values.litert and not values.support:
        raise InputError("litert=True was given without support; expected the folder of the images to fit to.")
    load_tensorflow()
    if values.images or values.support:
        print(report_images(_export_images(values)))
        return 0
    path = export(
        values.checkpoint_path,
        values.output,
        values.version or None,
        max_examples=values.max_examples,
        calibrated=values.calibrated,
    )
    print(report(path))
    return 0


def _export_images(values):
    from leo_tf.export.image_classifier import ImageFewShotClassifier
    from leo_tf.export.image_model import export_fitted, export_images

    if not values.support:
        return export_images(
            *(values.checkpoint_path, values.output, values.version or None, values.max_examples, values.calibrated)
        )
    classifier = ImageFewShotClassifier.load(values.checkpoint_path, values.calibrated).fit_folder(values.support)
    return export_fitted(classifier, values.output, values.version or None, values.litert)


def report_images(path):
    """Return what to say of a SavedModel that takes images."""
    description = read_description(path)
    classes = description.get("classes")
    what = f"fitted to {len(classes)} classes" if classes else "with its feature extractor"
    lines = [f"Exported to {path}: {description['extractor']['name']} and LEO, {what}."]
    if (path / LITERT_FILE).is_file():
        lines.append(f"  LiteRT, of decoded pixels: {path / LITERT_FILE}")
    signatures = description["signatures"]
    lines += [f"  {name}: {signatures[name]}" for name in ("serving_default", "adapt", "predict", "embed") if name in
              signatures]  # fmt: skip
    return "\n".join(lines)


def report(path):
    """Return what to say of the SavedModel that was written to `path`."""
    description = read_description(path)
    best, temperature = description["best"], description["temperature"]
    lines = [
        f"Exported to {path}: the checkpoint of step {best['step']}, validation accuracy "
        f"{100 * best['validation_accuracy']:.2f} %, for {description['embedding_dim']}-dimensional embeddings, "
        f"{'scaled to unit length inside' if description['normalize_embeddings'] else 'taken as they are'}."
    ]
    lines += [f"  probabilities: calibrated, at temperature {temperature:.3f}"] if temperature != 1 else []
    lines += [f"  {name}: {description['signatures'][name]}" for name in ("serving_default", "adapt", "predict")]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
