"""Ask TensorFlow Serving for few-shot predictions over gRPC.

python grpc_client.py --server=localhost:8500 --request=request.npz [--model=leo --version=1 --classes=cat,dog]

The request holds support_x [tasks, examples, dim], support_y [tasks, examples] and query_x [tasks, queries, dim]. The
answers are numbers of classes, or their names if they are given.
"""

import argparse
import re
import sys

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc


def ask(channel, inputs, signature="serving_default", model="leo", version=None, timeout=10.0):
    """Send one request.

    Args:
      channel: grpc.Channel.
      inputs: {name: array} of the signature: support_x, support_y, query_x, classifier. For a model that takes images,
        lists of their encoded bytes.
      signature: "serving_default", "adapt" or "predict".
      model: name in the server's configuration.
      version: int; default the highest version on the server.
      timeout: seconds.

    Returns:
      {name: array}.

    Raises:
      grpc.RpcError: with the server's reason, see `reason_of`, e.g. INVALID_ARGUMENT "A class has no support example;
        ...".
    """
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    if version is not None:
        request.model_spec.version.value = version
    for name, array in inputs.items():
        kind = object if name.endswith("images") else np.int32 if name == "support_y" else np.float32
        request.inputs[name].CopyFrom(tf.make_tensor_proto(np.asarray(array, kind)))
    response = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout)
    return {name: tf.make_ndarray(tensor) for name, tensor in response.outputs.items()}


def reason_of(error):
    """Return the model's own words in an RpcError: TensorFlow adds the place in the graph before and after them."""
    found = re.search(r"assertion failed: \[(.*?)\] (\[.*\])", error.details())
    return f"{found[1]} {found[2]}" if found else error.details()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default="localhost:8500")
    parser.add_argument("--request", required=True, help="npz file")
    parser.add_argument("--model", default="leo", help="name in the server's configuration")
    parser.add_argument("--version", type=int)
    parser.add_argument("--classes", default="", help="names of the classes in the order of their labels, as cat,dog")
    arguments = parser.parse_args()
    options = [("grpc.max_receive_message_length", -1)]  # the default is 4 MB
    try:
        with grpc.insecure_channel(arguments.server, options) as channel, np.load(arguments.request) as request:
            answer = ask(channel, dict(request), model=arguments.model, version=arguments.version)
    except grpc.RpcError as error:
        sys.exit(f"{arguments.server} answered {error.code().name}: {reason_of(error)}")
    except (ValueError, OSError) as error:
        sys.exit(str(error))
    labels, names = answer["predicted_label"], arguments.classes.split(",")
    if arguments.classes and len(names) != answer["probabilities"].shape[-1]:
        sys.exit(f"Got {len(names)} names of classes; the answer has {answer['probabilities'].shape[-1]} classes.")
    print(np.array(names)[labels] if arguments.classes else labels)


if __name__ == "__main__":
    main()
