"""The SavedModel in programs without this package: plain TensorFlow, its command line tool, C."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

pytestmark = pytest.mark.long

ENVIRONMENT = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}

BARE_TENSORFLOW = """
import sys

BLOCKED = ("leo_tf", "keras", "tf_keras", "tensorflow_probability")
sys.modules.update(dict.fromkeys(BLOCKED))  # None: importing one raises
import numpy as np
import tensorflow as tf

model = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
for request, answer in zip(sys.argv[2::2], sys.argv[3::2], strict=True):
    with np.load(request) as inputs:
        outputs = model(**{name: tf.constant(array) for name, array in inputs.items()})
    np.savez(answer, **{name: tensor.numpy() for name, tensor in outputs.items()})
assert all(sys.modules[name] is None for name in BLOCKED)
"""


def run(command, **kwargs):
    return subprocess.run(command, check=False, capture_output=True, timeout=120, env=ENVIRONMENT, **kwargs)


def check(answer, expected):
    for name, value in expected.items():
        np.testing.assert_allclose(answer[name], value, atol=1e-5, err_msg=name)


def test_tensorflow_without_keras_tfp_and_this_package(saved_model, all_cases, expected, tmp_path):
    files = []
    for index, request in enumerate(all_cases):
        np.savez(tmp_path / f"request{index}.npz", **request)
        files += [str(tmp_path / f"request{index}.npz"), str(tmp_path / f"answer{index}.npz")]
    result = run([sys.executable, "-c", BARE_TENSORFLOW, str(saved_model), *files], cwd=tmp_path)
    assert result.returncode == 0, result.stderr.decode()[-2000:]
    for index, request in enumerate(all_cases):
        with np.load(tmp_path / f"answer{index}.npz") as answer:
            check(answer, expected(request))


def test_saved_model_cli(saved_model, make_request, expected, tmp_path):
    request = make_request(2, [4, 1, 2])
    np.savez(tmp_path / "request.npz", **request)
    inputs = ";".join(f"{name}={tmp_path}/request.npz[{name}]" for name in request)
    tool = "from tensorflow.python.tools.saved_model_cli import main; main()"
    command = ["run", "--dir", saved_model, "--tag_set", "serve", "--signature_def", "serving_default"]
    result = run([sys.executable, "-c", tool, *command, "--inputs", inputs, "--outdir", tmp_path])
    assert result.returncode == 0, result.stderr.decode()[-2000:]
    wanted = expected(request)
    check({name: np.load(tmp_path / f"{name}.npy") for name in wanted}, wanted)


@pytest.fixture(scope="module")
def c_client(tmp_path_factory):
    """The compiled C program."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    libraries = Path(tf.sysconfig.get_lib())
    if compiler is None or not (libraries / "libtensorflow_cc.so.2").exists():
        pytest.skip("needs a C compiler and the Linux wheel's libtensorflow_cc.so.2")
    program = tmp_path_factory.mktemp("c") / "c_client"
    source = Path(__file__).with_name("c_client.c")
    links = ["-l:libtensorflow_cc.so.2", "-l:libtensorflow_framework.so.2", f"-Wl,-rpath,{libraries}"]
    fast = ["-fuse-ld=gold"] if shutil.which("ld.gold") else []  # the library has a gigabyte
    command = [
        compiler,
        *fast,
        "-Wall",
        "-o",
        program,
        source,
        f"-I{tf.sysconfig.get_include()}",
        f"-L{libraries}",
        *links,
    ]
    result = run(command)
    assert result.returncode == 0, result.stderr.decode()[-2000:]
    return program


def test_a_c_program(c_client, saved_model, all_cases, make_request, expected):
    """It answers four requests; the fifth is refused by the model."""
    refused = make_request()
    refused["support_y"][0, 0] = -1
    stream = b""
    for request in [*all_cases, refused]:
        tasks, examples, dim = request["support_x"].shape
        stream += np.array([tasks, examples, request["query_x"].shape[1], dim]).tobytes()
        stream += b"".join(request[name].tobytes() for name in ("support_x", "query_x", "support_y"))
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        signature = tf.compat.v1.saved_model.load(session, ["serve"], str(saved_model)).signature_def["serving_default"]
    result = run([c_client, saved_model, signature.outputs["probabilities"].name], input=stream)
    assert result.returncode == 3, result.stderr.decode()[-2000:]
    assert b"support_y holds a negative label" in result.stderr
    answers = np.frombuffer(result.stdout, np.float32)
    for request in all_cases:
        probabilities = expected(request)["probabilities"]
        answer, answers = np.split(answers, [probabilities.size])
        np.testing.assert_allclose(answer.reshape(probabilities.shape), probabilities, atol=1e-5)
    assert answers.size == 0
