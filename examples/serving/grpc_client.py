"""Ask TensorFlow Serving for few-shot predictions over gRPC.

python grpc_client.py --server=localhost:8500 --request=request.npz [--version=1]

The request holds support_x [tasks, examples, dim], support_y [tasks, examples] and query_x [tasks, queries, dim].
"""

import argparse

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
      grpc.RpcError: with the server's reason, e.g. INVALID_ARGUMENT "A class has no support example; ...".
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default="localhost:8500")
    parser.add_argument("--request", required=True, help="npz file")
    parser.add_argument("--version", type=int)
    arguments = parser.parse_args()
    options = [("grpc.max_receive_message_length", -1)]  # the default is 4 MB
    with grpc.insecure_channel(arguments.server, options) as channel, np.load(arguments.request) as request:
        print(ask(channel, dict(request), version=arguments.version)["predicted_label"])


if __name__ == "__main__":
    main()
