"""Classify images: python -m leo_tf.predict --model=RUN --support=DIR IMAGES..."""

import json
from collections.abc import Sequence

import numpy as np
from absl import flags

from leo_tf.commands.logs import load_tensorflow
from leo_tf.commands.main import Command, run_command
from leo_tf.errors import InputError
from leo_tf.files import expanded
from leo_tf.files.html_report import require_html_report


def main() -> None:
    flags.DEFINE_string("model", "", "folder of a run, or of a saved ImageFewShotClassifier")
    flags.DEFINE_string("support", "", "folder with one folder of images per class; empty: use the saved classes")
    about = "use the temperatures that evaluate.py --calibrate fitted; by default if the run has them"
    flags.DEFINE_bool("calibrated", None, about)
    flags.DEFINE_bool(
        "unknown_class", False, "with support: one more class, unknown, for images of none of the classes"
    )
    flags.DEFINE_bool("json", False, "print JSON with the probabilities of all classes")
    flags.DEFINE_string("html", "", "write an HTML report with examples and predictions to this file")
    flags.FLAGS.set_gnu_getopt()  # flags may follow the images
    about = "Classify images, given a few examples per class. Prints file, class and probability."
    usage = "python -m leo_tf.predict"
    example = f"{usage} --model=runs/birds --support=photos/new new1.jpg new2.jpg"
    run_command(_predict, Command(about, usage, example, "IMAGES..."))


def _predict(images: Sequence[str]) -> int:
    values = flags.FLAGS
    if not values.model:
        raise InputError("No model was given; expected the folder of a run.", "model")
    if not images:
        raise InputError("No image was given; expected the files to classify.")
    if values.html:
        require_html_report(values.html)
    load_tensorflow()
    from leo_tf.export.image_classifier import ImageFewShotClassifier

    if values.unknown_class and not values.support:
        raise InputError(
            "unknown_class=True was given without support, with which the classifier is fitted; give support, or leave "
            "unknown_class out: a saved classifier has the classes that it was fitted to.",
            *("unknown_class", "support"),
        )
    classifier = ImageFewShotClassifier.load(values.model, values.calibrated, values.unknown_class)
    if values.support:
        classifier.fit_folder(values.support)
    elif classifier.classes_ is None:
        raise InputError(f"{values.model} is not fitted; expected support, a folder of images per class.", "support")
    probabilities = classifier.predict_proba(images)
    classes = [str(name) for name in classifier.classes_]
    if values.html:
        from leo_tf.features.images.folder_layouts import find_classes
        from leo_tf.predict.report import write_report

        support = find_classes(expanded(values.support)) if values.support else {}
        write_report(values.html, values.model, support, images, classes, probabilities)
    print(_json(images, classes, probabilities) if values.json else _table(images, classes, probabilities))
    return 0


def _json(images: Sequence[str], classes: Sequence[str], probabilities: np.ndarray) -> str:
    predictions = [
        {
            "file": file,
            "label": classes[row.argmax()],
            "probability": float(row.max()),
            "probabilities": {name: float(value) for name, value in zip(classes, row, strict=True)},
        }
        for file, row in zip(images, probabilities, strict=True)
    ]
    return json.dumps(predictions, indent=2)


def _table(images: Sequence[str], classes: Sequence[str], probabilities: np.ndarray) -> str:
    width = max(map(len, images))
    rows = zip(images, probabilities, strict=True)
    return "\n".join(f"{file:{width}}  {classes[row.argmax()]}  {100 * row.max():.1f} %" for file, row in rows)


if __name__ == "__main__":
    main()
