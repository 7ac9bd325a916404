"""The example clients, with servers of the real protocols that answer from a SavedModel."""

import importlib.util
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import rest_server
import tensorflow as tf
from grpc_server import serving

pytestmark = pytest.mark.long

EXAMPLES = Path(__file__).parents[2] / "examples" / "serving"


def example(name):
    specification = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def signatures(saved_model):
    """{version: signatures}, as a server of one model holds them."""
    loaded = tf.saved_model.load(str(saved_model))
    yield {1: loaded.signatures}


@pytest.fixture(scope="module")
def channel(signatures):
    """A gRPC channel to a PredictionService."""
    with serving(signatures) as channel:
        yield channel


@pytest.fixture(scope="module")
def rest(signatures):
    """The address of a server of the REST API."""
    with rest_server.address_of(signatures) as address:
        yield address


def check(answer, expected):
    for name, value in expected.items():
        np.testing.assert_allclose(answer[name], value, atol=1e-5, err_msg=name)


def test_grpc_equals_the_model(channel, case, expected):
    check(example("grpc_client").ask(channel, case, version=1), expected(case))


def test_grpc_adapt_then_predict(channel, make_request, expected):
    request, ask = make_request(2, [2, 1, 3]), example("grpc_client").ask
    support = {name: request[name].tolist() for name in ("support_x", "support_y")}
    classifier = ask(channel, support, "adapt")["classifier"]
    answer = ask(channel, {"classifier": classifier, "query_x": request["query_x"]}, "predict")
    check(answer, {name: expected(request)[name] for name in answer})


def test_grpc_reports_the_servers_reason(channel, make_request):
    request, ask = make_request(), example("grpc_client").ask
    import grpc

    request["support_y"][:] = 1
    with pytest.raises(grpc.RpcError, match="A class has no support example") as refused:
        ask(channel, request)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(grpc.RpcError, match="Servable not found"):
        ask(channel, make_request(), version=9)


def test_rest_equals_the_model(rest, case, expected):
    ask = example("rest_client").ask
    check(ask(rest, case, version=1), expected(case))
    support = {name: case[name] for name in ("support_x", "support_y")}
    np.testing.assert_allclose(ask(rest, support, "adapt")["outputs"], expected(case)["classifier"], atol=1e-5)


def test_rest_reports_the_servers_reason(rest, make_request):
    request = make_request()
    request["query_x"][0, 0, 0] = np.nan
    with pytest.raises(ValueError, match=r"answered 400: .*query_x holds NaN"):
        example("rest_client").ask(rest, request)
    with pytest.raises(ValueError, match="answered 404"):
        example("rest_client").ask(rest, make_request(), model="lion")


def test_sixteen_threads_get_the_answers_to_their_own_requests(channel, make_request, expected):
    ask = example("grpc_client").ask
    requests = [make_request(counts=counts, seed=seed) for seed, counts in enumerate([[1, 1], [3, 1, 2], [2] * 6])]
    wanted = [expected(request)["probabilities"] for request in requests]

    def one(index):
        answer = ask(channel, requests[index % 3])["probabilities"]
        return np.abs(answer - wanted[index % 3]).max()

    with ThreadPoolExecutor(16) as pool:
        assert max(pool.map(one, range(1000))) < 1e-5


def test_warm_up_requests_are_ones_the_server_answers(channel, saved_model, tmp_path):
    from tensorflow_serving.apis import prediction_log_pb2, prediction_service_pb2_grpc

    shutil.copytree(saved_model, tmp_path / "1")
    path = example("write_warmup").write(tmp_path / "1", ways=3, shots=2, queries=4)
    assert path == tmp_path / "1" / "assets.extra" / "tf_serving_warmup_requests"
    stub, shapes = prediction_service_pb2_grpc.PredictionServiceStub(channel), []
    for record in tf.data.TFRecordDataset(str(path)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        outputs = stub.Predict(log.predict_log.request, 10.0).outputs
        shapes.append({name: tf.make_ndarray(tensor).shape for name, tensor in outputs.items()})
    both, classifier = {"probabilities": (1, 4, 3), "predicted_label": (1, 4)}, {"classifier": (1, 3, 16)}
    assert shapes == [{**both, **classifier}, classifier, both]
