"""A model's fingerprint: one hash of what its results depend on."""

import dataclasses
import hashlib
import json

import numpy as np


def fingerprint(model):
    """Return SHA-256 in hex of a model's configuration and weights: what its results depend on."""
    digest = hashlib.sha256()
    for config in model.configs:
        digest.update(json.dumps(dataclasses.asdict(config), sort_keys=True).encode())
    for variable in [*model.meta_variables, *model.fixed_variables]:
        digest.update(np.ascontiguousarray(variable).data)
    return digest.hexdigest()
