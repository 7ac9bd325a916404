"""Storage of a study: a journal file in its folder, or a database that Optuna supports."""

from contextlib import AbstractContextManager
from pathlib import Path

import filelock
import optuna
from optuna.storages.journal import JournalFileBackend, JournalStorage

from leo_tf.errors import InputError, first_line
from leo_tf.files import writing

_LOCK_TIMEOUT = 30.0  # seconds


class _JournalLock:
    """Lock for Optuna that the kernel releases with its process, so that a killed one blocks nobody."""

    def __init__(self, path: Path):
        self._path = path
        self._lock = filelock.FileLock(f"{path}.lock", timeout=_LOCK_TIMEOUT, fallback_to_soft=False)

    def acquire(self) -> bool:
        acquire(self._lock, f"the study's journal {self._path}")
        return True

    def release(self) -> None:
        self._lock.release()


def acquire(lock: filelock.BaseFileLock, what: str) -> AbstractContextManager:
    """Acquire a filelock, released by the context manager that is returned; raise InputError if that is impossible."""
    with writing(what):
        try:
            return lock.acquire()
        except filelock.Timeout:
            raise InputError(
                f"Another process has held the lock of {what} for {lock.timeout:.0f} s; stop it, or wait for it."
            ) from None


def open_storage(url: str, folder: Path) -> optuna.storages.BaseStorage:
    """Open the database of this URL, or, if that is empty, a journal in the study's folder."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if not url:
        return _open_journal(folder / "journal.log")
    import sqlalchemy

    try:
        return optuna.storages.RDBStorage(url)
    except (sqlalchemy.exc.SQLAlchemyError, ImportError, ValueError, RuntimeError) as error:
        raise InputError(
            f"Cannot open the study's database {_without_password(url)} ({first_line(error)}); expected a URL like "
            "sqlite:///study.db or postgresql://user:password@host/name, and a server that answers.",
            "storage",
        ) from None


def _open_journal(path: Path) -> JournalStorage:
    lock = _JournalLock(path)
    lock.acquire()
    try:
        with writing(path):
            _drop_partial_line(path)
            return JournalStorage(JournalFileBackend(str(path), lock))  # type: ignore[arg-type]  # its base is private
    except (ValueError, KeyError) as error:
        raise InputError(
            f"The study's journal {path} is corrupt ({first_line(error)}); restore it from a copy, or give another "
            "study.",
            "study",
        ) from None
    finally:
        lock.release()


def _drop_partial_line(path: Path) -> None:
    """Drop a last line that a kill cut short; Optuna would fail on it."""
    if path.exists():
        with open(path, "rb+") as file:
            content = file.read()
            file.truncate(content.rfind(b"\n") + 1)


def _without_password(url: str) -> str:
    start, at, rest = url.rpartition("@")
    return f"{start.partition('://')[0]}://...@{rest}" if at else url
