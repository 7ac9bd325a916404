"""Folders of numbered SavedModel versions, each complete or absent, with a description beside the model."""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from leo_tf.errors import InputError
from leo_tf.files import expanded, read_json
from leo_tf.runs.calibration import RunCalibration

EXTRA = Path("assets.extra")  # a folder that TensorFlow Serving leaves to the user
LITERT_FILE = EXTRA / "model.tflite"
_DESCRIPTION = EXTRA / "leo.json"


def require_new_version(output: str | Path, version: int | None, max_examples: int = 0) -> Path:
    """Return the folder of the versions; refuse a version that exists, and impossible numbers."""
    if max_examples < 0:
        raise InputError(
            f"max_examples={max_examples} was given; expected a whole number of at least 0.", "max_examples"
        )
    output = expanded(output)
    if version is not None and version < 1:
        raise InputError(f"Version {version} was given; expected a whole number of at least 1.", "version")
    if version is not None and (output / str(version)).exists():
        raise InputError(
            f"{output / str(version)} exists; give another version, or none to take the next one.", "version"
        )
    return output


def write_version(
    output: Path, version: int | None, write: Callable[[Path], None], description: Mapping[str, Any]
) -> Path:
    """Write a version, by default the next one, with its description, completely or not at all; return its folder."""
    import tensorflow as tf

    try:
        output.mkdir(parents=True, exist_ok=True)
        target = output / str(version or 1 + max(_versions(output), default=0))
        temporary = output / f"{target.name}.{os.getpid()}.tmp"  # not a number, so that servers ignore it
        temporary.mkdir()
        try:
            write(temporary)
            (temporary / EXTRA).mkdir(exist_ok=True)
            (temporary / _DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
            os.rename(temporary, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except (OSError, tf.errors.OpError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise InputError(
            f"Cannot write a version in {output} ({reason}); give an output that can be written.", "output"
        ) from None
    return target


def read_description(path: str | Path) -> dict[str, Any]:
    """Return the description beside a SavedModel: configuration, data, library versions; InputError without one."""
    path, expected = Path(path), "a folder that leo_tf.export wrote"
    if not (path / _DESCRIPTION).is_file():
        raise InputError(f"No {_DESCRIPTION} in {path}; expected {expected}.")
    return read_json(path / _DESCRIPTION, expected)


def read_calibration(path: str | Path) -> RunCalibration | None:
    """Return the calibration of the model in the SavedModel in `path`; None if it was exported without."""
    record = read_description(path).get("calibration")
    return RunCalibration.from_record(record) if isinstance(record, dict) else None


def newest_version(path: str | Path) -> Path | None:
    """Return `path` if it is a SavedModel's folder, or its highest version that is one; None if there is none."""
    path = Path(path)
    candidates = [path, *(path / str(version) for version in sorted(_versions(path), reverse=True))]
    return next((folder for folder in candidates if (folder / "saved_model.pb").is_file()), None)


def _versions(folder: Path) -> list[int]:
    return [int(child.name) for child in folder.glob("*") if child.name.isdecimal()]
