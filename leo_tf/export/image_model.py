"""SavedModels that take encoded images: LEO with its feature extractor, or a classifier that is fitted already."""

from leo_tf.errors import InputError
from leo_tf.export.image_classifier import ImageFewShotClassifier
from leo_tf.export.saved_model import (
    LITERT_FILE,
    MAX_EXAMPLES,
    model_of,
    require_free,
    require_max_examples,
    write_functions,
    write_version,
)
from leo_tf.files import write_bytes


def export_images(run, output, version=None, max_examples=MAX_EXAMPLES, calibrated=False):
    """Write `output/<version>/`, a SavedModel of a run with its extractor: files of images, labels and queries in.

    Args:
      run: folder of a run on embeddings by `leo_tf.features.extract`, or of a saved ImageFewShotClassifier.
      output, version, max_examples, calibrated: as for `export`.

    Returns:
      Path of the version's folder.

    Raises:
      InputError: as `export`, or the run has no extractor.
    """
    output = require_free(output, version)
    require_max_examples(max_examples)
    classifier = ImageFewShotClassifier(run, calibrated)
    temperature, extractor = classifier.temperature, classifier.extractor
    model, normalize, description = model_of(classifier.folder.path)
    from leo_tf.export.image_signatures import DOCUMENTATION, ImageSignatures

    description |= {"max_examples": max_examples, "temperature": temperature, "signatures": DOCUMENTATION}
    description |= _about(extractor)
    functions = ImageSignatures(model, extractor, normalize, max_examples, temperature).functions
    return write_version(
        output, version, lambda folder: write_functions(functions, [model, extractor.model], folder), description
    )


def export_fitted(classifier, output, version=None, litert=False):
    """Write `output/<version>/`, a SavedModel of a fitted classifier: files of images in, classes out.

    Args:
      classifier: ImageFewShotClassifier, fitted.
      output, version: as for `export`.
      litert: whether assets.extra/model.tflite is written too, for LiteRT: squares of pixels, uint8 [1, side, side,
        channels] as the extractor resizes them, to probabilities [1, ways].

    Returns:
      Path of the version's folder.

    Raises:
      InputError: as `export`; it is not fitted; or LiteRT's converter does not take the extractor's network.
    """
    output = require_free(output, version)
    fitted, classes, extractor = classifier.fitted, classifier.classes_, classifier.extractor
    _, _, description = model_of(classifier.folder.path)
    from leo_tf.export.image_signatures import FITTED_DOCUMENTATION, FittedSignatures

    description |= {"temperature": float(fitted.temperature), "signatures": FITTED_DOCUMENTATION}
    description |= {"classes": [str(name) for name in classes], **_about(extractor)}
    signatures = FittedSignatures(extractor, fitted, classes)

    def write(folder):
        write_functions(signatures.functions, [extractor.model], folder)
        if litert:
            write_bytes(folder / LITERT_FILE, _litert_of(signatures, extractor))

    return write_version(output, version, write, description)


def _litert_of(signatures, extractor):
    """Return the bytes of a LiteRT model of decoded pixels: its runtime decodes no files."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    side, channels = extractor.preprocessing.resize_size, extractor.preprocessing.channels

    @tf.function(input_signature=[tf.TensorSpec([1, side, side, channels], tf.uint8, "pixels")], autograph=False)
    def answer(pixels):
        return {"probabilities": signatures.of_squares(pixels)}

    # Variables of Keras 3 would be left without their values; as constants they are part of the file.
    frozen = convert_variables_to_constants_v2(answer.get_concrete_function())
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
    try:
        return converter.convert()
    except Exception as error:  # the converter raises what it likes
        lines = str(error).splitlines() or [type(error).__name__]
        raise InputError(
            f"LiteRT's converter does not take the network of {extractor.about['name']} ({lines[0][:200]}); export "
            "without litert."
        ) from None


def _about(extractor):
    return {
        "extractor": extractor.about,
        "preprocessing": extractor.preprocessing.to_json(),
        "views": extractor.views,
    }
