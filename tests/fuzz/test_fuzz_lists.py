"""CSV files: the file list of a split, the metrics of a run."""

import csv
import io

import pytest
from fuzzing import EFFORT, corrupted, fuzz, little_memory, refusing
from hypothesis import strategies as st

from leo_tf import RunConfig
from leo_tf.features.images import find_images
from leo_tf.runs.metrics import progress_of
from leo_tf.training import events, monitoring

pytestmark = pytest.mark.long

CELLS = [
    "a.png",
    "b.png",
    "c.png",
    "no.png",
    "",
    "a",
    "b",
    "../a.png",
    "/",
    "x" * 300,
    "y" * 200_000,
    "\0",
    "é",
    '"',
    "1",
    "-1",
]
CELLS += ["1e999", "nan", "9" * 5000, "²", "40", "80"]


def table(header):
    """Return a strategy of CSV files with this header, or with a column more or less."""
    names = st.sampled_from([header, header, header, header[1:], [*header, "more"], [], header * 2])
    cell, width = st.sampled_from(CELLS), len(header)
    rows = st.lists(st.lists(cell, min_size=width, max_size=width) | st.lists(cell, max_size=width + 1), max_size=4)
    return st.builds(_written, names, rows)


def _written(header, rows):
    buffer = io.StringIO()
    csv.writer(buffer).writerows([header, *rows])
    return buffer.getvalue().encode("utf-8", "replace")


@EFFORT
def test_lists_of_images(tmp_path, effort):
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / "images" / name).write_bytes(b"not read here")
    valid = b"filename,label\na.png,a\nb.png,a\nc.png,b\n"

    def check(content):
        (tmp_path / "train.csv").write_bytes(content)
        with little_memory(32e6), refusing():
            (source,) = find_images(tmp_path).splits.values()
            assert len(source.names) == len(source.labels) > 0 and all(source.labels)
            assert source.read(0) == b"not read here"

    fuzz(st.one_of(table(["filename", "label"]), corrupted(valid)), check, 200, effort)


def continued(file, header):
    """Read metrics as a run does that resumes at step 40."""
    rows = monitoring._drop_rows_after(file, 40, header)
    means = monitoring._since_validation(rows, 40, ["loss"])
    means.add(10**6, {"loss": 1.0})
    assert means.means().keys() == {"loss"}
    assert all(int(row["step"]) <= 40 for row in rows) and monitoring._drop_rows_after(file, 40, header) is not None


@EFFORT
@pytest.mark.parametrize("use", ["progress", "chart", "continued"])
def test_metrics(tmp_path, use, effort):
    (tmp_path / "config.json").write_text(RunConfig().to_json())
    file = tmp_path / "metrics.csv"
    header = ["step", "loss", "validation_accuracy", "validation_loss"]
    valid = _written(header, [["40", "1.5", "", ""], ["80", "1.4", "0.5", "1.2"]])
    uses = {
        "progress": lambda: progress_of(tmp_path),
        "chart": lambda: events._steps_in_chart(file, "accuracy"),
        "continued": lambda: continued(file, header),
    }

    def check(content):
        file.write_bytes(content)
        with little_memory(32e6), refusing():
            uses[use]()

    fuzz(st.one_of(table(header), corrupted(valid)), check, 100, effort)
