"""Exported with its extractor, a model gives the probabilities of ImageFewShotClassifier over gRPC."""

import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from grpc_server import serving
from PIL import Image

from leo_tf import ImageFewShotClassifier, InputError
from leo_tf.export import read_description
from leo_tf.export.image_model import export_fitted, export_images

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
CLASSES = ("c09", "c10", "c11")


def ask(*arguments, **more):
    specification = importlib.util.spec_from_file_location("grpc_client", ROOT / "examples" / "serving/grpc_client.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module.ask(*arguments, **more)


@pytest.fixture(scope="module")
def files(image_run, tmp_path_factory):
    """Support and query files of new classes, of JPEG and PNG, and the numbers of their labels."""
    folder, jpegs = image_run.parent / "images" / "test", tmp_path_factory.mktemp("jpegs")
    support, query, labels = [], [], []
    for number, name in enumerate(CLASSES):
        for n in range(6):
            path = folder / name / f"{n}.png"
            if n % 2:
                Image.open(path).resize((50, 44)).save(jpegs / f"{name}{n}.jpg", quality=92)
                path = jpegs / f"{name}{n}.jpg"
            (support if n < number + 1 else query).append(path)  # one, two and three of them
        labels += [number] * (number + 1)
    return support, labels, query


@pytest.fixture(scope="module")
def classifier(image_run, files):
    return ImageFewShotClassifier.load(image_run).fit(files[0], files[1])


@pytest.fixture(scope="module")
def channel(image_run, tmp_path_factory):
    path = export_images(image_run, tmp_path_factory.mktemp("served") / "leo")
    with serving({1: tf.saved_model.load(str(path)).signatures}) as channel:
        yield channel


def contents(paths):
    return [path.read_bytes() for path in paths]


def test_one_request_with_support_labels_and_queries(channel, classifier, files):
    support, labels, query = files
    request = {"support_images": contents(support), "support_y": labels, "query_images": contents(query)}
    answer = ask(channel, request)
    expected = classifier.predict_proba(query)
    assert expected.shape == (12, 3) and expected.max() - expected.min() > 0.1
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)
    assert answer["predicted_label"].tolist() == classifier.predict(query).tolist()
    adapted = ask(channel, {"support_images": contents(support), "support_y": labels}, "adapt")["classifier"]
    halves = ask(channel, {"classifier": adapted, "query_images": contents(query)}, "predict")
    np.testing.assert_allclose(halves["probabilities"], expected, atol=1e-5)
    embedded = ask(channel, {"images": contents(query)}, "embed")["embeddings"]
    np.testing.assert_allclose(embedded, classifier.embed(query), rtol=1e-4, atol=1e-5)


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 24, 3), np.uint8))
REFUSED = {
    "cmyk": (encoded(PICTURE.convert("CMYK"), "JPEG"), "is CMYK"),
    "16 bits": (encoded(Image.fromarray(np.full((8, 8), 40_000, np.uint16))), "has 16 bits per channel"),
    "transparent": (encoded(PICTURE.convert("RGBA")), "is transparent"),
    "transparent palette": (encoded(PICTURE.convert("P"), transparency=3), "is transparent"),
    "exif": (encoded(PICTURE, "JPEG", exif=turned(6)), "rotated by its EXIF orientation"),
    "exif of png": (encoded(PICTURE, exif=turned(3)), "rotated by its EXIF orientation"),
    "webp": (encoded(PICTURE, "WEBP"), "is neither JPEG nor PNG"),
    "empty": (b"", "is neither JPEG nor PNG"),
    "cut off": (encoded(PICTURE, "JPEG")[:400], "Invalid JPEG|jpeg::Uncompress"),
    "header of png": (encoded(PICTURE)[:12], "declares no pixels or more"),
    "bomb": (encoded(PICTURE)[:16] + bytes([0, 1, 0, 0] * 2) + encoded(PICTURE)[24:], "or more than 100,000,000"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refuses_images_that_it_would_decode_differently(channel, kind):
    import grpc

    content, reason = REFUSED[kind]
    with pytest.raises(grpc.RpcError, match=reason) as refused:
        ask(channel, {"images": [encoded(PICTURE), content]}, "embed")
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    "content",
    [
        encoded(PICTURE, "JPEG", exif=turned(1)),
        encoded(PICTURE, "JPEG", quality=60, progressive=True),
        encoded(PICTURE.convert("L"), "JPEG"),
        encoded(PICTURE.convert("L")),
        encoded(PICTURE.convert("P")),
        encoded(PICTURE.convert("1")),
    ],
    ids=["exif upright", "progressive", "grey jpeg", "grey png", "palette", "two tones"],
)
def test_plain_images_are_decoded_as_in_training(channel, classifier, content):
    got = ask(channel, {"images": [content]}, "embed")["embeddings"]
    square = classifier.extractor.loader.square(content)
    np.testing.assert_allclose(got, classifier.extractor(square[np.newaxis]), rtol=1e-4, atol=1e-5)


def test_invalid_supports_are_refused_with_the_reason(channel, files):
    import grpc

    request = {"support_images": contents(files[0]), "support_y": [0, 1, 1, 1, 1, 4], "query_images": []}
    with pytest.raises(grpc.RpcError, match="A class has no support example"):
        ask(channel, request)
    with pytest.raises(grpc.RpcError, match="support_x and support_y do not match"):
        ask(channel, request | {"support_y": [0, 1]})


@pytest.fixture(scope="module")
def named(classifier, files, image_run):
    """The same classifier, its classes called by name."""
    return ImageFewShotClassifier.load(image_run).fit(files[0], [CLASSES[label] for label in files[1]])


@pytest.fixture(scope="module")
def fitted_version(named, tmp_path_factory):
    return export_fitted(named, tmp_path_factory.mktemp("fitted"), litert=True)


def test_a_fitted_export_returns_class_names(fitted_version, named, files):
    with serving({1: tf.saved_model.load(str(fitted_version)).signatures}) as channel:
        answer = ask(channel, {"images": contents(files[2])})
    np.testing.assert_allclose(answer["probabilities"], named.predict_proba(files[2]), atol=1e-5)
    assert [name.decode() for name in answer["label"]] == named.predict(files[2]).tolist()
    assert [name.decode() for name in answer["classes"][3]] == list(CLASSES)
    assert read_description(fitted_version)["classes"] == list(CLASSES)


def test_litert_of_decoded_pixels(fitted_version, named, files):
    interpreter = tf.lite.Interpreter(str(fitted_version / "assets.extra" / "model.tflite"))
    interpreter.allocate_tensors()
    (pixels,), (probabilities,) = interpreter.get_input_details(), interpreter.get_output_details()

    def answer(path):
        square = named.extractor.loader.square(path.read_bytes())
        interpreter.set_tensor(pixels["index"], square[np.newaxis])
        interpreter.invoke()
        return interpreter.get_tensor(probabilities["index"])[0]

    found = [answer(path) for path in files[2]]
    np.testing.assert_allclose(found, named.predict_proba(files[2]), atol=1e-4)


def test_the_command(image_run, tmp_path):
    """The command exports with a support folder, and reports an error in one line."""
    for name in CLASSES[:2]:
        (tmp_path / "support" / name).mkdir(parents=True)
        for n in range(3):
            shutil.copy(image_run.parent / "images" / "test" / name / f"{n}.png", tmp_path / "support" / name)

    def export(*flags):
        command = [sys.executable, "-m", "leo_tf.export", f"--checkpoint_path={image_run}", *flags]
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=180, check=False
        )

    done = export(f"--support={tmp_path / 'support'}", f"--output={tmp_path / 'fitted'}")
    assert done.returncode == 0 and "fitted to 2 classes" in done.stdout, done.stderr
    content = (tmp_path / "support" / "c10" / "1.png").read_bytes()
    loaded = tf.saved_model.load(str(tmp_path / "fitted" / "1"))
    assert loaded.signatures["serving_default"](images=tf.constant([content]))["label"].numpy().tolist() == [b"c10"]
    note = json.loads((tmp_path / "fitted" / "1" / "assets.extra" / "leo.json").read_text())
    assert note["extractor"]["name"] == "WRN-10-1" and note["preprocessing"]["image_size"] == 16
    done = export("--litert", f"--output={tmp_path / 'no'}")
    assert done.returncode == 2 and "was given without support" in done.stderr and "Traceback" not in done.stderr


def test_refuses_runs_without_extractor_and_unfitted_classifiers(run, image_run, tmp_path):
    with pytest.raises(InputError, match="has no feature extractor"):
        export_images(run, tmp_path)
    with pytest.raises(InputError, match="is not fitted"):
        export_fitted(ImageFewShotClassifier.load(image_run), tmp_path)
    assert not list(tmp_path.iterdir())
