"""Runs without training, their SavedModels, and requests of various shapes."""

import numpy as np
import pytest
import tensorflow as tf
from image_runs import make_image_run

from leo_tf import LEO, LEOConfig, RunConfig
from leo_tf.config import DataConfig, ProtoLEOConfig
from leo_tf.export import export
from leo_tf.runs.run_dir import RunDirectory

DIM = 16
MODEL = LEOConfig(num_latents=8, inner_unroll_length=2, finetuning_unroll_length=2)
CASES = {
    "5-way 1-shot": (1, [1] * 5),
    "20-way 3-shot": (1, [3] * 20),
    "unequal": (2, [4, 1, 2]),
    "64 tasks": (64, [2, 1, 3]),
}


@pytest.fixture(scope="session")
def leo():
    """A LEO with fine-tuning rates that matter."""
    model = LEO(MODEL, DIM, seed=2)
    model.finetuning_learning_rate.assign(np.linspace(0.1, 0.4, DIM))
    return model


@pytest.fixture(scope="session")
def make_run(leo, tmp_path_factory):
    """A function that writes the folder of a run whose best checkpoint is `leo`."""

    def make(**data):
        folder = RunDirectory(tmp_path_factory.mktemp("run"))
        folder.claim(
            RunConfig(model=MODEL, data=DataConfig(**data)),
            {"embedding_dim": DIM, "train_digest": "digest-of-train", "validation_digest": "digest-of-val"},
        )
        accuracy, step = tf.Variable(0.75, dtype=tf.float64), tf.Variable(1200, dtype=tf.int64)
        tf.train.Checkpoint(model=leo, best_accuracy=accuracy, best_step=step).write(str(folder.best / "ckpt-1200"))
        return folder.path

    return make


@pytest.fixture(scope="session")
def run(make_run):
    return make_run()


@pytest.fixture(scope="session")
def saved_model(run, tmp_path_factory):
    """The folder of a version."""
    return export(run, tmp_path_factory.mktemp("versions"))


@pytest.fixture(scope="session")
def make_request():
    """A function that makes a request of the given number of examples of each class, shuffled within each task."""

    def make(tasks=1, counts=(1, 1, 1), queries=3, dim=DIM, seed=0):
        rng = np.random.default_rng(seed)
        labels = np.stack([rng.permutation(np.repeat(np.arange(len(counts)), counts)) for _ in range(tasks)])
        return {
            "support_x": rng.normal(size=(*labels.shape, dim)).astype(np.float32),
            "support_y": labels.astype(np.int32),
            "query_x": rng.normal(size=(tasks, queries, dim)).astype(np.float32),
        }

    return make


@pytest.fixture(scope="session")
def expected(leo):
    """A function that computes the answer to a request with the model itself."""

    def answer(request):
        unit = {
            name: request[name] / np.linalg.norm(request[name], axis=-1, keepdims=True)
            for name in ("support_x", "query_x")
        }
        classifier = leo.adapt_imbalanced(unit["support_x"], request["support_y"])
        logits = leo.classify(unit["query_x"], classifier)
        return {
            "classifier": classifier.numpy(),
            "probabilities": tf.nn.softmax(logits).numpy(),
            "predicted_label": np.argmax(logits, axis=-1),
        }

    return answer


@pytest.fixture(params=CASES)
def case(request, make_request):
    tasks, counts = CASES[request.param]
    return make_request(tasks, counts)


@pytest.fixture
def all_cases(make_request):
    return [make_request(tasks, counts) for tasks, counts in CASES.values()]


@pytest.fixture(scope="session")
def image_run(tmp_path_factory):
    """The folder of a ProtoLEO run on drawn images, with its extractor."""
    return make_image_run(tmp_path_factory.mktemp("images"), proto_leo=ProtoLEOConfig(0.3, 0.3, 5.0, latent_codes=True))
