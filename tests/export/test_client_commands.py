"""The commands of the example clients, with servers of the real protocols that answer what a SavedModel would."""

import importlib.util
import socket
import sys
from pathlib import Path

import grpc_server
import numpy as np
import pytest
import rest_server
import tensorflow as tf

EXAMPLES = Path(__file__).parents[2] / "examples" / "serving"
ANSWER = {"probabilities": np.float32([[[0.1, 0.9], [0.8, 0.2]]]), "predicted_label": np.int32([[1, 0]])}


class Signature:
    """A SavedModel's signature that refuses labels of one class with the text of TensorFlow's error."""

    structured_input_signature = (
        (),
        {
            "support_x": tf.TensorSpec([None, None, 2]),
            "support_y": tf.TensorSpec([None, None], tf.int32),
            "query_x": tf.TensorSpec([None, None, 2]),
        },
    )

    def __call__(self, support_x, support_y, query_x):
        if tf.reduce_max(support_y) == 0:
            text = (
                'Graph execution error:\n\nDetected at node Assert defined at "x":\nassertion failed: [support_y holds '
                "one class; received [task, class]:] [0] [1 2]\n\t [[{{node Assert}}]] [Op:__inference]"
            )
            raise tf.errors.InvalidArgumentError(None, None, text)
        return {name: tf.constant(array) for name, array in ANSWER.items()}


SIGNATURES = {1: {"serving_default": Signature()}}
SERVERS = {"rest_client": rest_server, "grpc_client": grpc_server}


@pytest.fixture(params=SERVERS)
def client(request):
    return request.param


@pytest.fixture
def call(client, tmp_path, monkeypatch, capsys):
    """A function that runs a client's command and returns its output; a refusal is a SystemExit with the message."""

    def run(server, *arguments, labels=(0, 1)):
        specification = importlib.util.spec_from_file_location(client, EXAMPLES / f"{client}.py")
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
        path, rows = tmp_path / "request.npz", np.zeros([1, 2, 2], np.float32)
        np.savez(path, support_x=rows, support_y=np.int32([labels]), query_x=rows)
        monkeypatch.setattr(sys, "argv", [client, f"--server={server}", f"--request={path}", *arguments])
        module.main()
        return capsys.readouterr().out.strip()

    return run


def test_answers_are_numbers_or_names_of_classes(call, client):
    with SERVERS[client].address_of(SIGNATURES) as server:
        assert call(server) == "[[1 0]]"
        assert call(server, "--model=leo", "--classes=cat,dog") == "[['dog' 'cat']]"
        with pytest.raises(SystemExit, match="Got 3 names of classes; the answer has 2 classes"):
            call(server, "--classes=cat,dog,cow")


def test_a_refusal_is_the_models_reason_alone(call, client):
    with SERVERS[client].address_of(SIGNATURES) as server:
        with pytest.raises(SystemExit) as refused:
            call(server, labels=(0, 0))
        reason = str(refused.value).partition(": ")[2]
        assert reason == "support_y holds one class; received [task, class]: [0] [1 2]"
        with pytest.raises(SystemExit, match="Servable not found"):
            call(server, "--model=lion")


def test_a_closed_port_is_one_line(call, client):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(SystemExit, match=r"(?i)^[^\n]*127\.0\.0\.1[^\n]*connection refused[^\n]*$"):
        call(f"http://127.0.0.1:{port}" if client == "rest_client" else f"127.0.0.1:{port}")
