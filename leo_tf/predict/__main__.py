"""Classify images: python -m leo_tf.predict --model=RUN --support=DIR IMAGES..."""

import json

from absl import flags

from leo_tf.commands.logs import load_tensorflow
from leo_tf.commands.main import Command, run_command
from leo_tf.errors import InputError
from leo_tf.files import expanded, require_writable
from leo_tf.files.html_report import require_pages


def main():
    """Define the flags and run."""
    flags.DEFINE_string("model", "", "folder of a run, or of a saved ImageFewShotClassifier")
    flags.DEFINE_string("support", "", "folder with a folder of images for each class; empty: as the model was saved")
    flags.DEFINE_bool("calibrated", False, "probabilities at the temperature that evaluate.py --calibrate fitted")
    flags.DEFINE_bool("json", False, "print JSON, with the probabilities of all classes")
    flags.DEFINE_string("html", "", "write a page of the examples and the answers, as pictures, to this file")
    flags.FLAGS.set_gnu_getopt()  # flags may follow the images
    about = "Tell the class of images from a few examples of each class. Prints file, class and probability."
    usage = "python -m leo_tf.predict"
    example = f"{usage} --model=runs/birds --support=photos/new new1.jpg new2.jpg"
    run_command(_predict, Command(about, usage, example, "IMAGES..."))


def _predict(images):
    values = flags.FLAGS
    if not values.model or not images:
        missing = "--model" if not values.model else "image"
        raise InputError(f"No {missing} was given; expected --model=RUN and the images to classify.")
    if values.html:
        require_pages("The page")
        require_writable(values.html)
    load_tensorflow()
    from leo_tf.export.image_classifier import ImageFewShotClassifier

    classifier = ImageFewShotClassifier.load(values.model, values.calibrated)
    if values.support:
        classifier.fit_folder(values.support)
    elif classifier.classes_ is None:
        raise InputError(f"{values.model} is not fitted; give --support=DIR, with a folder of images for each class.")
    classes, found = [str(name) for name in classifier.classes_], classifier.predict_proba(images)
    if values.html:
        from leo_tf.features.images.folder_layouts import find_classes
        from leo_tf.predict.page import write_answers

        support = find_classes(expanded(values.support)) if values.support else {}
        write_answers(values.html, values.model, support, images, classes, found)
    if values.json:
        answers = [
            {
                "file": file,
                "label": classes[row.argmax()],
                "probability": float(row.max()),
                "probabilities": {name: float(value) for name, value in zip(classes, row, strict=True)},
            }
            for file, row in zip(images, found, strict=True)
        ]
        print(json.dumps(answers, indent=2))
        return 0
    width = max(map(len, images))
    for file, row in zip(images, found, strict=True):
        print(f"{file:{width}}  {classes[row.argmax()]}  {100 * row.max():.1f} %")
    return 0


if __name__ == "__main__":
    main()
