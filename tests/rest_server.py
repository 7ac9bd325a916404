"""A server of TensorFlow Serving's REST API that answers columnar requests with the signatures of a SavedModel."""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import tensorflow as tf


@contextlib.contextmanager
def address_of(signatures):
    """Yield the address of a server of the model `leo`; signatures are {version: signatures}."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            place, _, verb = self.path.partition(":")
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            versions = {"/v1/models/leo": max(signatures), **{f"/v1/models/leo/versions/{v}": v for v in signatures}}
            if place not in versions or verb != "predict":
                return self.answer(404, {"error": f"Servable not found: {place}"})
            signature = signatures[versions[place]][body.get("signature_name", "serving_default")]
            kinds = signature.structured_input_signature[1]
            try:
                outputs = signature(**{n: tf.constant(v, kinds[n].dtype) for n, v in body["inputs"].items()})
            except tf.errors.InvalidArgumentError as error:
                return self.answer(400, {"error": str(error)})
            outputs = {name: tensor.numpy().tolist() for name, tensor in outputs.items()}
            return self.answer(200, {"outputs": outputs if len(outputs) > 1 else next(iter(outputs.values()))})

        def answer(self, code, content):
            data = json.dumps(content).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
