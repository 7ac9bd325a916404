"""Where a study is kept: a file journal in its folder, or a database that Optuna reaches."""

import filelock
import optuna
from optuna.storages.journal import JournalFileBackend, JournalStorage

from leo_tf.errors import InputError
from leo_tf.files import writing

_SECONDS = 30.0  # to wait for a lock


class _JournalLock:
    """A lock that ends with its process: what a killed one leaves behind stops nobody."""

    def __init__(self, path):
        self._path = path
        self._lock = filelock.FileLock(f"{path}.lock", timeout=_SECONDS, fallback_to_soft=False)

    def acquire(self):
        acquire(self._lock, f"the study's journal {self._path}")
        return True

    def release(self):
        self._lock.release()


def acquire(lock, what):
    """Acquire a filelock.

    Raises:
      InputError: another process holds it for longer than its timeout, or it cannot be written.
    """
    with writing(what):
        try:
            lock.acquire()
        except filelock.Timeout:
            raise InputError(
                f"Another process has had {what} locked for {_SECONDS:.0f} s; stop it, or wait for it."
            ) from None


def open_storage(url, folder):
    """Open the storage of a study.

    Args:
      url: of a database, as Optuna and SQLAlchemy write it; empty for a journal in the folder.
      folder: Path of the study.

    Raises:
      InputError: it cannot be reached, read or written.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if not url:
        return _open_journal(folder / "journal.log")
    import sqlalchemy

    try:
        return optuna.storages.RDBStorage(url)
    except (sqlalchemy.exc.SQLAlchemyError, ImportError, ValueError, RuntimeError) as error:
        raise InputError(
            f"Cannot open the study's database {_without_password(url)} ({_first_line(error)}); expected a URL like "
            "sqlite:///study.db or postgresql://user:password@host/name, and a server that answers."
        ) from None


def _open_journal(path):
    lock = _JournalLock(path)
    lock.acquire()
    try:
        with writing(path):
            _cut_torn_line(path)
            return JournalStorage(JournalFileBackend(str(path), lock))  # type: ignore[arg-type]  # its base is private
    except (ValueError, KeyError) as error:
        raise InputError(
            f"The study's journal {path} is damaged ({_first_line(error)}); put it back from a copy, or give another "
            "study."
        ) from None
    finally:
        lock.release()


def _cut_torn_line(path):
    """Drop a last line that a kill cut short, on which Optuna would fail."""
    if path.exists():
        with open(path, "rb+") as file:
            content = file.read()
            file.truncate(content.rfind(b"\n") + 1)


def _without_password(url):
    start, at, rest = url.rpartition("@")
    return f"{start.partition('://')[0]}://...@{rest}" if at else url


def _first_line(error):
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
