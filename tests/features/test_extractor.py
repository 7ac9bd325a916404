"""Extractors from every source: layers, preprocessing, saving and loading."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from drawn_images import picture

from leo_tf import InputError
from leo_tf.features.backbones import affine_preprocessing, make_extractor
from leo_tf.features.extractor import Extractor, weights_digest
from leo_tf.features.images import Preprocessing
from leo_tf.features.pretrain.work import Pretraining
from leo_tf.features.settings import PretrainConfig
from leo_tf.runs.load import load
from leo_tf.runs.run_dir import RunDirectory

PICTURES = [picture(label, 0) for label in range(5)]


def squares_of(extractor):
    return np.stack([extractor.loader.square(image) for image in PICTURES])


@pytest.fixture(scope="module")
def small_model():
    """A network without weights, whose output is easy to compute: the mean colour, doubled."""
    image = keras.Input((8, 8, 3))
    doubled = keras.layers.Rescaling(2.0, name="doubled")(image)
    return keras.Model(image, keras.layers.GlobalAveragePooling2D()(doubled))


def test_extractor_of_a_run_is_its_best_checkpoint(features_run):
    """Without dropout, at the given layer."""
    extractor = make_extractor(features_run, "group2_block1")
    work = Pretraining(RunDirectory(features_run, PretrainConfig).config())
    from leo_tf.training.checkpoints import Checkpoints

    Checkpoints(RunDirectory(features_run, PretrainConfig), work).restore()
    squares = squares_of(extractor)
    images = Preprocessing(18, 16).views(squares)[:, 0]
    inner = keras.Model(work.model.inputs, work.model.get_layer("group2_block1").output)
    expected = inner([images, tf.zeros([5], tf.int64)], training=False).numpy().mean(axis=(1, 2))
    np.testing.assert_allclose(extractor(squares), expected, atol=1e-4)
    assert extractor.dim == 32 and extractor.about["trained_on"] == [f"c{n:02}" for n in range(6)]
    assert make_extractor(features_run).about["layer"] == "group3_block1"
    with pytest.raises(InputError, match="has no layer 'group9'; expected the name of one, as"):
        make_extractor(features_run, "group9")
    with pytest.raises(InputError, match=r"leo_tf\.features\.pretrain"):
        load(features_run)


def test_multiview_is_the_mean_of_ten_crops(features_run):
    extractor, single = make_extractor(features_run, views="multiview"), make_extractor(features_run)
    squares = squares_of(extractor)  # of side 18, crops of 16
    crops = [squares[:, y : y + 16, x : x + 16] for y, x in [(1, 1), (0, 0), (0, 2), (2, 0), (2, 2)]]
    crops += [crop[:, :, ::-1] for crop in crops]
    by_hand = [single.model(single.preprocessing.scaled(crop), training=False).numpy() for crop in crops]
    np.testing.assert_allclose(extractor(squares), np.mean(by_hand, axis=0), atol=1e-4)


def test_save_and_load(features_run, tmp_path):
    made = make_extractor(features_run, views="multiview")
    metadata = {"extractor": made.about, "preprocessing": made.preprocessing.to_json(), "views": made.views}
    made.save(tmp_path, metadata)
    again = Extractor.load(tmp_path)
    squares = squares_of(made)
    np.testing.assert_array_equal(again(squares), made(squares))
    assert weights_digest(again.model) == again.about["weights_sha256"] == made.about["weights_sha256"]
    first = (tmp_path / "extractor.keras").read_bytes()
    made.save(tmp_path, metadata)
    assert (tmp_path / "extractor.keras").read_bytes() == first
    assert make_extractor(tmp_path, views="center").views == "center"
    (tmp_path / "extractor.keras").write_bytes(first[:1000])
    with pytest.raises(InputError, match="cannot be read as a Keras model"):
        Extractor.load(tmp_path)
    (tmp_path / "extractor.json").unlink()
    with pytest.raises(InputError, match=r"extractor\.json"):
        Extractor.load(tmp_path)


@pytest.mark.parametrize("pixels", ["0..255", "0..1", "-1..1"])
def test_keras_files_and_saved_models(small_model, tmp_path, pixels):
    small_model.save(tmp_path / "net.keras")
    small_model.export(tmp_path / "net", verbose=False)
    for source in ("net.keras", "net"):
        extractor = make_extractor(tmp_path / source, pixels=pixels, resize_size=8)
        squares = squares_of(extractor)
        scaled = {"0..255": squares, "0..1": squares / 255, "-1..1": squares / 127.5 - 1}[pixels]
        np.testing.assert_allclose(extractor(squares), 2 * scaled.mean(axis=(1, 2)), rtol=1e-4, atol=1e-5)
        assert extractor.about["trained_on"] is None and extractor.preprocessing.image_size == 8
    layer = make_extractor(tmp_path / "net.keras", "doubled", resize_size=8)
    np.testing.assert_allclose(layer(squares_of(layer)), 2 * squares.mean(axis=(1, 2)), rtol=1e-4)


@pytest.mark.long
def test_keras_applications_with_their_preprocessing():
    pixels = np.random.default_rng(0).integers(0, 256, (1, 4, 4, 3)).astype(np.float32)
    extractor = make_extractor("MobileNetV2", weights="none", image_size=32)
    assert extractor.dim == 1280 and extractor.preprocessing.resize_size == 37
    assert extractor(squares_of(extractor)).shape == (5, 1280)
    expected = keras.applications.mobilenet_v2.preprocess_input(pixels.copy())
    np.testing.assert_allclose(extractor.preprocessing.scaled(pixels), expected, atol=1e-4)
    inner = make_extractor("MobileNetV2", "block_3_expand_relu", weights="none", image_size=32)
    assert inner.dim == 144 and inner.about["trained_on"] == []


@pytest.mark.parametrize("module", ["vgg16", "densenet", "resnet_v2", "efficientnet"])
def test_affine_preprocessing_of_keras_applications(module):
    pixels = np.random.default_rng(0).integers(0, 256, (1, 4, 4, 3)).astype(np.float32)
    preprocess = getattr(keras.applications, module).preprocess_input
    mean, scale, color = affine_preprocessing(preprocess)
    made = Preprocessing(4, 4, color, mean, scale)
    np.testing.assert_allclose(
        made.scaled(made.square(pixels[0].astype(np.uint8))), preprocess(pixels.copy())[0], atol=1e-3
    )


def test_wrong_sources_are_refused(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="or a name in keras"):
        make_extractor("ResNot50")
    (tmp_path / "bad.keras").write_bytes(b"no")
    with pytest.raises(InputError, match="cannot be read as a Keras model"):
        make_extractor(tmp_path / "bad.keras")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="is not a SavedModel"):
        make_extractor(tmp_path / "folder")

    def unreachable(**_):
        raise Exception("URL fetch failure on https://...: Name or service not known")

    monkeypatch.setattr(keras.applications, "ResNet50", unreachable)
    with pytest.raises(InputError, match=r"cannot be built \(URL fetch failure.*give weights=PATH"):
        make_extractor("ResNet50")
    image = keras.Input((None, None, 3))
    model = keras.Model(image, keras.layers.Conv2D(4, 3)(image))
    model.save(tmp_path / "any.keras")
    with pytest.raises(InputError, match="images of any size; give image_size"):
        make_extractor(tmp_path / "any.keras")
    assert make_extractor(tmp_path / "any.keras", image_size=9).dim == 4
    vector = keras.Input((7,))
    keras.Model(vector, keras.layers.Dense(2)(vector)).save(tmp_path / "vector.keras")
    with pytest.raises(InputError, match="expected one input of images"):
        make_extractor(tmp_path / "vector.keras", image_size=9)


@pytest.mark.long
def test_drawing_views_are_the_mean_of_sixteen_fixed_changes(features_run):
    extractor, single = make_extractor(features_run, views="drawing"), make_extractor(features_run)
    squares = squares_of(extractor)
    crops = extractor.preprocessing.views(squares, "drawing").numpy()
    assert crops.shape == (5, 16, 16, 16, 3)
    np.testing.assert_allclose(crops[:, 0], single.preprocessing.views(squares)[:, 0])
    assert np.abs(crops[:, 1:] - crops[:, :1]).mean(axis=(0, 2, 3, 4)).min() > 0.01
    np.testing.assert_allclose(extractor.preprocessing.views(squares[2:3], "drawing")[0], crops[2], atol=1e-3)
    by_hand = [single.model(crops[:, way], training=False).numpy() for way in range(16)]
    np.testing.assert_allclose(extractor(squares), np.mean(by_hand, axis=0), atol=1e-4)
    np.testing.assert_allclose(extractor(squares[2:3])[0], extractor(squares)[2], atol=1e-4)
