"""Ask TensorFlow Serving for few-shot predictions over REST, with NumPy and the standard library alone.

python rest_client.py --server=http://localhost:8501 --request=request.npz [--version=1]

The request holds support_x [tasks, examples, dim], support_y [tasks, examples] and query_x [tasks, queries, dim].
"""

import argparse
import json
import urllib.error
import urllib.request

import numpy as np


def ask(server, inputs, signature="serving_default", model="leo", version=None, timeout=10.0):
    """Send one request.

    Args:
      server: as "http://localhost:8501".
      inputs: {name: array} of the signature: support_x, support_y, query_x, or classifier.
      signature: "serving_default", "adapt" or "predict".
      model: name in the server's configuration.
      version: int; default the highest version on the server.
      timeout: seconds.

    Returns:
      {name: array}; the only output of a signature has the name "outputs".

    Raises:
      ValueError: with the server's reason.
    """
    place = f"{server}/v1/models/{model}" + (f"/versions/{version}" if version is not None else "")
    # Columnar "inputs" instead of "instances", because support and query have different numbers of rows.
    body = {"signature_name": signature, "inputs": {name: np.asarray(array).tolist() for name, array in inputs.items()}}
    request = urllib.request.Request(
        f"{place}:predict", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            outputs = json.load(response)["outputs"]
    except urllib.error.HTTPError as error:
        raise ValueError(f"{place} answered {error.code}: {error.read().decode(errors='replace')}") from None
    outputs = outputs if isinstance(outputs, dict) else {"outputs": outputs}
    return {name: np.array(values) for name, values in outputs.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default="http://localhost:8501")
    parser.add_argument("--request", required=True, help="npz file")
    parser.add_argument("--version", type=int)
    arguments = parser.parse_args()
    with np.load(arguments.request) as request:
        print(ask(arguments.server, dict(request), version=arguments.version)["predicted_label"])


if __name__ == "__main__":
    main()
