"""Run cells in processes of their own, several at once; what is finished is not done again."""

import hashlib
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed

from tqdm import tqdm

from leo_tf.errors import InputError
from leo_tf.evaluation.progress import time_text
from leo_tf.files import read_json, write_json, writing

# By module, so that an installed package without the scripts will do.
_MAINS = {
    "train.py": "leo_tf.commands.main import train_main as main",
    "evaluate.py": "leo_tf.commands.main import evaluate_main as main",
    "-m leo_tf.reproduce.classical": "leo_tf.reproduce.classical import main",
}
_LOG_LINES = 4


def run_cells(cells, jobs, log=print):
    """Run the cells that are not finished.

    A cell that fails leaves its reason in its status, and the others go on; it is tried again the next time. A cell
    that was stopped half-way resumes its training.

    Args:
      cells: list of Cell.
      jobs: processes at once.
      log: is called with a line for each cell that ends.

    Returns:
      {cell name: status}, a dict with "ok", "seconds" and, if it failed, "command" and "reason".
    """
    statuses = {}
    waiting = []
    for cell in cells:
        before = _finished(cell)
        if before:
            statuses[cell.name] = before
        else:
            waiting.append(cell)
    done_before, start = len(statuses), time.perf_counter()
    with ThreadPoolExecutor(jobs) as pool, tqdm(total=len(waiting), unit="cell", disable=None) as bar:
        futures = {pool.submit(_run, cell): cell for cell in waiting}
        try:
            for future in as_completed(futures):
                cell, status = futures[future], future.result()
                statuses[cell.name] = status
                bar.update()
                ending = "done" if status["ok"] else f"FAILED: {status['reason']}"
                ended, left = len(statuses) - done_before, len(cells) - len(statuses)
                rest = time_text((time.perf_counter() - start) / ended * left)
                log(
                    f"{cell.name}: {ending} after {status['seconds']:.0f} s; {len(statuses)} of {len(cells)} cells, "
                    f"about {rest} left"
                )
        except BaseException:  # Ctrl-C, or a folder that cannot be written: start nothing more
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return {cell.name: statuses[cell.name] for cell in cells}


def _finished(cell):
    """Return the status of a cell that was finished with the same commands, else None."""
    try:
        status = read_json(cell.status, "the status of a cell")
        done = status["ok"] and status["commands"] == _digest(cell) and cell.result.exists()
    except (InputError, KeyError, TypeError):
        return None
    return status if done else None


def _digest(cell):
    return hashlib.sha256(json.dumps(cell.commands()).encode()).hexdigest()


def _run(cell):
    status, start = {"ok": True, "commands": _digest(cell)}, time.perf_counter()
    with writing(cell.folder):
        cell.folder.mkdir(parents=True, exist_ok=True)
        log = cell.log.open("ab")
    with log:
        for script, flags in cell.commands():
            call = [sys.executable, "-c", _main(script), *flags]
            code = subprocess.run(call, stdout=log, stderr=subprocess.STDOUT, check=False).returncode
            if code:
                status |= {"ok": False, "command": f"{script} {' '.join(flags)}", "reason": _reason(cell, code)}
                break
    status["seconds"] = time.perf_counter() - start
    write_json(cell.status, status)
    return status


def _main(script):
    return f"from {_MAINS[script]}; main()"


def _reason(cell, code):
    """Return the error that a command printed, or its last lines."""
    lines = cell.log.read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line for line in lines if line.startswith("Error: ")]
    return errors[-1] if errors and code == 2 else f"exit status {code}: " + " | ".join(lines[-_LOG_LINES:])
