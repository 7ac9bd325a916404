"""A job: commands that follow one another, and the record of how they ended."""

import dataclasses
import hashlib
import json
from pathlib import Path

from leo_tf.errors import InputError
from leo_tf.files import read_json


@dataclasses.dataclass(frozen=True)
class Job:
    """Commands to call one after the other.

    A job that was stopped or killed is called again with the same commands, each of which goes on where it was or does
    nothing.
    """

    name: str  # shown to people, and unlike any other job's
    folder: Path  # its own
    commands: tuple[tuple[str, tuple[str, ...]], ...]  # (script, flags): "train.py", "evaluate.py" or "-m MODULE"
    result: Path | None = None  # a file that is there when the job is done
    run: Path | None = None  # the run folder that it trains

    @property
    def status_file(self):
        """How it ended, written when it has."""
        return self.folder / "job.json"

    @property
    def log_file(self):
        """What its commands printed."""
        return self.folder / "log.txt"

    @property
    def stop_file(self):
        """Asks, by being there, whoever does the job to stop it: what reaches all machines is the disk."""
        return self.folder / "stop"

    @property
    def digest(self):
        """Hash of the commands, text."""
        return hashlib.sha256(json.dumps(self.commands).encode()).hexdigest()

    def finished(self):
        """Return the status of a job that was done with the same commands, else None."""
        try:
            status = read_json(self.status_file, "the status of a job")
            done = status["ok"] and status["commands"] == self.digest and (self.result is None or self.result.exists())
        except (InputError, KeyError, TypeError):
            return None
        return status if done else None


def written(script, flags):
    """Return a command as a person would type it after `python`."""
    return " ".join([script, *flags])
