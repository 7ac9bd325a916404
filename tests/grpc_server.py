"""A server of TensorFlow Serving's gRPC protocol that answers with the signatures of a SavedModel."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import tensorflow as tf


@contextlib.contextmanager
def serving(signatures):
    """Yield a gRPC channel to the server of `address_of`."""
    import grpc

    with address_of(signatures) as address, grpc.insecure_channel(address) as channel:
        yield channel


@contextlib.contextmanager
def address_of(signatures):
    """Yield the address of a PredictionService of the model `leo`; signatures are {version: signatures}."""
    import grpc
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    class Server(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):
            specification = request.model_spec
            version = specification.version.value if specification.HasField("version") else max(signatures)
            if specification.name != "leo" or version not in signatures:
                context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found: {specification.name} {version}")
            signature = signatures[version][specification.signature_name or "serving_default"]
            inputs = {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}
            kinds = signature.structured_input_signature[1]
            if {name: array.dtype for name, array in inputs.items()} != {
                name: kind.dtype.as_numpy_dtype for name, kind in kinds.items()
            }:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"expected {kinds}")
            try:
                outputs = signature(**{name: tf.constant(array) for name, array in inputs.items()})
            except (tf.errors.InvalidArgumentError, TypeError, ValueError) as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            response = predict_pb2.PredictResponse()
            for name, tensor in outputs.items():
                response.outputs[name].CopyFrom(tf.make_tensor_proto(tensor.numpy()))
            return response

    server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.max_receive_message_length", -1)])
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Server(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None)
