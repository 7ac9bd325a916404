"""Ask TensorFlow Serving for few-shot predictions over REST, with NumPy and the standard library alone.

python rest_client.py --server=http://localhost:8501 --request=request.npz [--model=leo --version=1 --classes=cat,dog]

The request holds support_x [tasks, examples, dim], support_y [tasks, examples] and query_x [tasks, queries, dim]. The
answers are numbers of classes, or their names if they are given.
"""

import argparse
import contextlib
import json
import re
import sys
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
      ConnectionError: there is no server.
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
        raise ValueError(f"{place} answered {error.code}: {reason_of(error.read())}") from None
    except urllib.error.URLError as error:
        raise ConnectionError(f"No answer from {server}: {error.reason}") from None
    outputs = outputs if isinstance(outputs, dict) else {"outputs": outputs}
    return {name: np.array(values) for name, values in outputs.items()}


def reason_of(body):
    """Return the model's own words in an answer: TensorFlow adds the place in the graph before and after them."""
    text = body.decode(errors="replace")
    with contextlib.suppress(ValueError, KeyError, TypeError):  # not the answer of TensorFlow Serving
        text = json.loads(text)["error"]
    found = re.search(r"assertion failed: \[(.*?)\] (\[.*\])", text)
    return f"{found[1]} {found[2]}" if found else text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default="http://localhost:8501")
    parser.add_argument("--request", required=True, help="npz file")
    parser.add_argument("--model", default="leo", help="name in the server's configuration")
    parser.add_argument("--version", type=int)
    parser.add_argument("--classes", default="", help="names of the classes in the order of their labels, as cat,dog")
    arguments = parser.parse_args()
    try:
        with np.load(arguments.request) as request:
            answer = ask(arguments.server, dict(request), model=arguments.model, version=arguments.version)
    except (ValueError, OSError) as error:
        sys.exit(str(error))
    labels, names = answer["predicted_label"], arguments.classes.split(",")
    if arguments.classes and len(names) != answer["probabilities"].shape[-1]:
        sys.exit(f"Got {len(names)} names of classes; the answer has {answer['probabilities'].shape[-1]} classes.")
    print(np.array(names)[labels] if arguments.classes else labels)


if __name__ == "__main__":
    main()
