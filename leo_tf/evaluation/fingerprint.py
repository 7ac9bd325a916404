"""Fingerprint of a model: a hash of its configuration and weights."""

import dataclasses
import hashlib
import json
from typing import Any

import numpy as np


def fingerprint(model: Any) -> str:
    """Return SHA-256 in hex of a model's configuration and weights, on which its results depend."""
    digest = hashlib.sha256()
    for config in model.configs:
        digest.update(json.dumps(dataclasses.asdict(config), sort_keys=True).encode())
    for variable in [*model.meta_variables, *model.fixed_variables]:
        digest.update(np.ascontiguousarray(variable).data)
    return digest.hexdigest()
