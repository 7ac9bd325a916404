"""SavedModels of encoded images: a model with its feature extractor, or a classifier that is already fitted."""

from pathlib import Path
from typing import Any

from leo_tf.errors import InputError, first_line
from leo_tf.export.image_classifier import ImageFewShotClassifier
from leo_tf.export.saved_model import MAX_EXAMPLES, load_source, write_functions
from leo_tf.export.versions import LITERT_FILE, require_new_version, write_version
from leo_tf.files import write_bytes


def export_images(
    run: str | Path,
    output: str | Path,
    version: int | None = None,
    max_examples: int = MAX_EXAMPLES,
    calibrated: bool | None = None,
) -> Path:
    """Write `output/<version>/`, a SavedModel of a run, or a saved ImageFewShotClassifier, with its extractor.

    Its requests have support images, labels and query images; arguments as for `export`.
    """
    output = require_new_version(output, version, max_examples)
    classifier = ImageFewShotClassifier(run, calibrated)
    extractor = classifier.extractor
    model, normalize, description = load_source(classifier.folder.path)
    calibration = classifier.folder.calibration(model, calibrated)
    from leo_tf.export.image_signatures import ImageSignatures

    signatures = ImageSignatures(model, extractor, normalize, max_examples, calibration)
    details = {
        "max_examples": max_examples,
        "calibration": calibration and calibration.record(),
        "classifier_dim": signatures.classifier_dim,
        "signatures": signatures.documentation,
    }

    def write(folder: Path) -> None:
        write_functions(signatures.functions, [model, extractor.model], folder)

    return write_version(output, version, write, description | details | extractor.description())


def export_fitted(
    classifier: ImageFewShotClassifier, output: str | Path, version: int | None = None, litert: bool = False
) -> Path:
    """Write `output/<version>/`, a SavedModel of a fitted classifier: encoded images in, classes out.

    With `litert` there is also assets.extra/model.tflite. It takes squares of pixels, uint8 [1, side, side, channels],
    resized as the extractor does, and returns probabilities [1, ways].
    """
    output = require_new_version(output, version)
    fitted, classes, extractor = classifier.fitted, classifier.classes_, classifier.extractor
    *_, description = load_source(classifier.folder.path)
    from leo_tf.export.image_signatures import FITTED_DOCUMENTATION, FittedSignatures

    details = {"classes": [str(name) for name in classes], "signatures": FITTED_DOCUMENTATION}
    signatures = FittedSignatures(extractor, fitted, classes)

    def write(folder: Path) -> None:
        write_functions(signatures.functions, signatures.layers, folder)
        if litert:
            write_bytes(folder / LITERT_FILE, _litert_of(signatures, extractor))

    return write_version(output, version, write, description | details | extractor.description())


def _litert_of(signatures: Any, extractor: Any) -> bytes:
    """Return a LiteRT model of decoded pixels, because its runtime cannot decode images."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    side, channels = extractor.preprocessing.resize_size, extractor.preprocessing.channels

    @tf.function(input_signature=[tf.TensorSpec([1, side, side, channels], tf.uint8, "pixels")], autograph=False)
    def answer(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": signatures.of_squares(pixels)}

    # The converter would leave out the values of Keras 3's variables; constants are part of the file.
    frozen = convert_variables_to_constants_v2(answer.get_concrete_function())
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
    try:
        return converter.convert()
    except Exception as error:  # the converter raises all kinds of exceptions
        raise InputError(
            f"LiteRT's converter does not support the network of {extractor.about['name']} ({first_line(error)}); "
            "export without litert.",
            "litert",
        ) from None
