"""A job: a sequence of commands, and the record of how they ended."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from leo_tf.errors import InputError
from leo_tf.files import read_json


@dataclasses.dataclass(frozen=True)
class Job:
    """Commands to call one after the other. Called again after a stop, each resumes or finds itself done."""

    name: str  # shown to the user; unique among the jobs
    folder: Path  # its own
    commands: tuple[tuple[str, tuple[str, ...]], ...]  # (script, flags): "train.py", "evaluate.py" or "-m MODULE"
    result: Path | None = None  # file that exists once the job is done
    run: Path | None = None  # run folder that it trains

    @property
    def status_file(self) -> Path:
        """Status, written when the job has ended."""
        return self.folder / "job.json"

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(self.commands).encode()).hexdigest()

    def finished(self) -> dict[str, Any] | None:
        """Return the status if the job has already succeeded with the same commands, else None."""
        try:
            status = read_json(self.status_file, "the status of a job")
            done = status["ok"] and status["commands"] == self.digest and (self.result is None or self.result.exists())
        except (InputError, KeyError, TypeError):
            return None
        return status if done else None
