"""Write warm-up requests beside a SavedModel; TensorFlow Serving plays them when it loads the model.

python write_warmup.py --saved_model=served/leo/1 [--ways=5 --shots=1 --queries=75]

Without them the first request is hundreds of times slower than the next.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

WARMUP_FILE = Path("assets.extra", "tf_serving_warmup_requests")  # the name that TensorFlow Serving looks for


def requests(dim, classifier_dim, ways, shots, queries):
    """Yield a PredictRequest of zeros for each signature."""
    tensors = {
        "support_x": np.zeros([1, ways * shots, dim], np.float32),
        "support_y": np.repeat(np.arange(ways, dtype=np.int32), shots)[np.newaxis],
        "query_x": np.zeros([1, queries, dim], np.float32),
        "classifier": np.zeros([1, ways, classifier_dim], np.float32),
    }
    for signature, names in {
        "serving_default": ("support_x", "support_y", "query_x"),
        "adapt": ("support_x", "support_y"),
        "predict": ("classifier", "query_x"),
    }.items():
        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = "leo", signature
        for name in names:
            request.inputs[name].CopyFrom(tf.make_tensor_proto(tensors[name]))
        yield request


def write(saved_model, ways=5, shots=1, queries=75):
    """Write the warm-up file of the version in the folder `saved_model`; return its path."""
    path = Path(saved_model, WARMUP_FILE)
    description = json.loads(path.with_name("leo.json").read_text(encoding="utf-8"))
    dims = description["embedding_dim"], description["classifier_dim"]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for request in requests(*dims, ways, shots, queries):
            log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            writer.write(log.SerializeToString())
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--saved_model", required=True, help="folder of a version, e.g. served/leo/1")
    parser.add_argument("--ways", type=int, default=5)
    parser.add_argument("--shots", type=int, default=1)
    parser.add_argument("--queries", type=int, default=75)
    arguments = parser.parse_args()
    print(write(arguments.saved_model, arguments.ways, arguments.shots, arguments.queries))


if __name__ == "__main__":
    main()
