"""A SavedModel answers like the model, and refuses invalid requests with the reason."""

import numpy as np
import pytest
import tensorflow as tf

from leo_tf import EmbeddingTable
from leo_tf.export import export
from leo_tf.export.signatures import Signatures, unit_length


@pytest.fixture(scope="module")
def loaded(saved_model):
    return tf.saved_model.load(str(saved_model))


@pytest.fixture(scope="module")
def serve(loaded):
    return loaded.signatures["serving_default"]


def test_equals_the_model(serve, case, expected):
    answer = serve(**case)
    for name, value in expected(case).items():
        np.testing.assert_allclose(answer[name], value, atol=1e-5, err_msg=name)


def test_equal_shots_equal_adapt(serve, leo, make_request):
    request = make_request(tasks=2, counts=[3] * 5)
    order = np.argsort(request["support_y"], axis=1, kind="stable")[..., None]
    unit = request["support_x"] / np.linalg.norm(request["support_x"], axis=-1, keepdims=True)
    grouped = np.take_along_axis(unit, order, axis=1).reshape(2, 5, 3, -1)
    classifier = leo.adapt(grouped, np.broadcast_to(np.arange(5)[:, None], (2, 5, 3)))
    np.testing.assert_allclose(serve(**request)["classifier"], classifier, atol=1e-5)


def test_adapt_and_predict_equal_serving_default(loaded, serve, case):
    whole = serve(**case)
    classifier = loaded.signatures["adapt"](support_x=case["support_x"], support_y=case["support_y"])["classifier"]
    np.testing.assert_array_equal(classifier, whole["classifier"])
    halves = loaded.signatures["predict"](classifier=classifier, query_x=case["query_x"])
    for name, value in halves.items():
        np.testing.assert_allclose(value, whole[name], atol=1e-6)


def test_other_tasks_and_the_order_of_examples_do_not_matter(serve, make_request):
    request = make_request(tasks=4, counts=[2, 1, 3])
    whole = serve(**request)["probabilities"]
    alone = serve(**{name: array[2:3] for name, array in request.items()})["probabilities"]
    np.testing.assert_allclose(alone[0], whole[2], atol=1e-6)
    order = np.random.default_rng(1).permutation(6)
    shuffled = {**request, "support_x": request["support_x"][:, order], "support_y": request["support_y"][:, order]}
    np.testing.assert_allclose(serve(**shuffled)["probabilities"], whole, atol=1e-6)


def test_no_queries_and_rows_of_zeros(serve, make_request):
    request = make_request(queries=0)
    assert serve(**request)["probabilities"].shape == (1, 0, 3)
    request = make_request()
    request["support_x"][0, 0] = request["query_x"][0, 0] = 0
    answer = serve(**request)
    np.testing.assert_allclose(answer["probabilities"][0, 0], [1 / 3] * 3, rtol=1e-6)
    assert np.isfinite(answer["probabilities"]).all()


def changed(request, **replacements):
    return {**request, **replacements}


def with_value(array, value):
    array = array.copy()
    array[-1, -1, -1] = value
    return array


REFUSED = {
    "negative label": (
        lambda r: changed(r, support_y=np.int32([[0, -4, 1]] * 2)),
        r"support_y holds a negative label; .*\[-4\]",
    ),
    "one class": (
        lambda r: changed(r, support_y=np.int32([[0, 0, 0]] * 2)),
        r"support_y holds one class, .*\[0\]",
    ),
    "class without examples": (
        lambda r: changed(r, support_y=np.int32([[0, 1, 2], [0, 2, 2]])),
        r"A class has no support example; .*\[3\] \[\[1 1\]\]",
    ),
    "label beyond memory": (
        lambda r: changed(r, support_y=np.int32([[0, 1, 2], [0, 1, 2**31 - 1]])),
        r"support_y names more classes than a task has examples; .*\[2147483647\] \[3\]",
    ),
    "NaN in the support": (
        lambda r: changed(r, support_x=with_value(r["support_x"], np.nan)),
        r"support_x holds NaN or infinity; .*\[\[1 2 15\]\]",
    ),
    "infinity in a query": (
        lambda r: changed(r, query_x=with_value(r["query_x"], -np.inf)),
        r"query_x holds NaN or infinity; .*\[\[1 2 15\]\]",
    ),
    "no examples": (
        lambda r: changed(r, support_x=r["support_x"][:, :0], support_y=r["support_y"][:, :0]),
        r"The support is empty; .*\[2 0\]",
    ),
    "no tasks": (lambda r: {name: array[:0] for name, array in r.items()}, r"The support is empty; .*\[0 3\]"),
    "labels of another number": (
        lambda r: changed(r, support_y=r["support_y"][:, :2]),
        r"support_x and support_y do not match; .*\[2 3 16\] \[2 2\]",
    ),
    "one query set for two tasks": (
        lambda r: changed(r, query_x=r["query_x"][:1]),
        r"query_x and support_x differ in tasks, .*\[1\] \[2\]",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_with_the_reason(serve, make_request, name):
    spoil, message = REFUSED[name]
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        serve(**spoil(make_request(tasks=2)))


def test_predict_refuses_with_the_reason(loaded, make_request):
    predict, query = loaded.signatures["predict"], make_request(tasks=2)["query_x"]
    classifier = np.ones([2, 3, 16], np.float32)
    for bad, message in (
        (classifier[:1], r"query_x and classifier differ in tasks, .*\[2\] \[1\]"),
        (classifier[:, :0], r"classifier has no classes; .*\[2 0 16\]"),
        (with_value(classifier, np.nan), r"classifier holds NaN or infinity; .*\[\[1 2 15\]\]"),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            predict(classifier=bad, query_x=query)


def test_another_dim_is_refused_by_the_signature(serve, make_request):
    with pytest.raises((TypeError, ValueError), match="16"):
        serve(**make_request(dim=15))


@pytest.mark.parametrize("output", ["classifier", "probabilities", "predicted_label"])
def test_a_session_that_fetches_one_output_runs_every_check(saved_model, make_request, output):
    """TensorFlow Serving prunes outputs that are not fetched; it must not prune the checks."""
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        signature = tf.compat.v1.saved_model.load(session, ["serve"], str(saved_model)).signature_def["serving_default"]
        for spoil, message in REFUSED.values():
            feed = {signature.inputs[k].name: v for k, v in spoil(make_request(tasks=2)).items()}
            with pytest.raises(tf.errors.InvalidArgumentError, match=message):
                session.run(signature.outputs[output].name, feed)


def test_unit_length_equals_the_tables():
    rows = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    rows[1], rows[2], rows[3] = 0, rows[2] * 1e30, rows[3] * 1e-30
    table = EmbeddingTable.from_arrays(rows, np.arange(5))
    np.testing.assert_array_equal(unit_length(rows), table.embeddings)


def test_without_normalization_lengths_matter(make_run, make_request, leo, tmp_path):
    """With normalize_embeddings=False, embeddings are not scaled."""
    request = make_request(counts=[2, 1])
    raw = tf.saved_model.load(str(export(make_run(normalize_embeddings=False), tmp_path)))
    np.testing.assert_allclose(
        raw.signatures["adapt"](support_x=request["support_x"], support_y=request["support_y"])["classifier"],
        leo.adapt_imbalanced(request["support_x"], request["support_y"]),
        atol=1e-5,
    )


def test_another_dim_is_refused_where_the_runtime_ignores_the_signature(leo, make_request):
    """As in the C API, where it was once the error of a matrix product."""
    signatures, request = Signatures(leo, True), make_request()
    narrow = {name: array[..., :5] if name != "support_y" else array for name, array in request.items()}
    classifier = np.zeros((1, 3, leo.embedding_dim), np.float32)
    for call, name in (
        (lambda: signatures.adapt(narrow["support_x"], request["support_y"]), "support_x"),
        (lambda: signatures.serve(request["support_x"], request["support_y"], narrow["query_x"]), "query_x"),
        (lambda: signatures.predict(classifier[..., :5], request["query_x"]), "classifier"),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match=rf"{name} has another dimension .*\[\.\.\., 16\]"):
            call()


def test_more_examples_than_the_limit_are_refused(leo, make_request, tmp_path):
    """10,000 would occupy a server's core for half a minute."""
    request = make_request(tasks=2, counts=[2, 2])
    support = {name: request[name] for name in ("support_x", "support_y")}
    message = r"The support has more than 7 examples; .* larger max_examples\. Received"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        Signatures(leo, True, max_examples=7).adapt(**support)
    for enough in (8, 0):
        assert Signatures(leo, True, max_examples=enough).adapt(**support)["classifier"].shape == (2, 2, 16)


def test_the_limit_is_exported_and_few_shot_classifier_reports_it(leo, tmp_path):
    from leo_tf import FewShotClassifier, InputError
    from leo_tf.export import read_description

    path = export(leo, tmp_path / "served", max_examples=5)
    assert read_description(path)["max_examples"] == 5
    classifier = FewShotClassifier(str(path))
    rows = np.random.default_rng(0).normal(size=(6, 16))
    classifier.fit(rows[:5], [0, 0, 1, 1, 1])
    with pytest.raises(InputError, match="The support has more than 5 examples"):
        classifier.fit(rows, [0, 0, 1, 1, 1, 0])
    with pytest.raises(InputError, match=r"max_examples=-1 was given"):
        export(leo, tmp_path / "other", max_examples=-1)
