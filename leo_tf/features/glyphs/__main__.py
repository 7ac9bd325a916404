"""Regenerate the built-in data set: `python -m leo_tf.features.glyphs --output=FOLDER`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from leo_tf.errors import InputError


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the flags, build, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m leo_tf.features.glyphs", description=__doc__, allow_abbrev=False)
    parser.add_argument("--output", type=Path, required=True, help="folder for the .npz files and meta.json")
    parser.add_argument(
        "--retrain", action="store_true", help="train the network anew (minutes) instead of taking the shipped weights"
    )
    parser.add_argument("--contact_sheet", type=Path, help="also draw the data to this PNG file, e.g. docs/glyphs.png")
    flags = parser.parse_args(arguments)
    try:
        # Imported late, so that --help and a wrong flag need not wait for TensorFlow.
        from leo_tf.features.glyphs import build, sheet

        description = build.build(flags.output, retrain=flags.retrain, log=print)
        if flags.contact_sheet:
            sheet.write_contact_sheet(flags.contact_sheet, build.SEED)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(description["classes"]))
    print("5-way test accuracy, %:", json.dumps(description["test_accuracy_percent"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
