"""Download of one large file over HTTP that resumes where an earlier attempt stopped."""

import json
import time
from pathlib import Path

import requests
from tqdm import tqdm

from leo_tf.errors import InputError
from leo_tf.files import replace_file

ATTEMPTS = 5
SECONDS_BETWEEN = 2.0
_TIMEOUT = (10.0, 60.0)  # seconds to connect, seconds without a byte
CHUNK = 1 << 16  # bytes; of a connection that breaks, less than one chunk is lost


class UnreachableError(InputError):
    """Error for an address that does not answer: most likely there is no network."""


def fetch(url: str, target: Path) -> None:
    """Download `url` to `target`, with a progress bar.

    The bytes received so far are in `<target>.part`; a file beside it has the server's name for this version of the
    file (its ETag or date). A later attempt or call requests the rest of that version, and starts again if the server
    has another version or cannot send a part. Raises UnreachableError if no connection can be made.
    """
    part = target.with_name(f"{target.name}.part")
    problem = ""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(SECONDS_BETWEEN)
            try:
                problem = _fetch_rest(url, part)
            except (requests.ConnectionError, requests.Timeout) as error:
                problem = _reason(error)
                if attempt == 0:
                    raise UnreachableError(f"{url} cannot be reached ({problem})") from error
            if not problem:
                part.replace(target)
                _version_file(part).unlink(missing_ok=True)
                return
    except requests.RequestException as error:
        raise InputError(f"{url}: {_reason(error)}. Expected a web address of the archive.") from error
    except OSError as error:
        raise InputError(
            f"{part}: cannot be written ({error.strerror}). Free some disk space or choose another folder."
        ) from error
    raise InputError(
        f"{url}: incomplete after {ATTEMPTS} attempts; the last error was: {problem}. The bytes received are kept in "
        f"{part}; repeat the command to resume."
    )


def _fetch_rest(url: str, part: Path) -> str:
    """Append the missing bytes to `part`; return why it is still incomplete, or "" if it is complete."""
    version = _known_version(url, part)
    have = part.stat().st_size if version else 0
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": version}
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
        if response.status_code in (408, 429) or response.status_code >= 500:
            return f"the server answered {response.status_code}"
        if response.status_code == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            total = response.headers["Content-Range"].rpartition("/")[2]
        elif response.status_code == 200:
            have, total = 0, response.headers.get("Content-Length", "")
            _remember_version(url, part, response)
        elif response.status_code in (206, 416):  # not the requested part
            part.unlink(missing_ok=True)
            return f"the server cannot send the bytes from {have} onwards"
        else:
            raise InputError(
                f"{url}: the server answered {response.status_code} {response.reason}; expected the archive."
            )
        size = int(total) if total.isdecimal() else None
        problem = _receive(response, part, have, size)
    have = part.stat().st_size
    if size is None or have == size:
        return problem if size is None else ""
    if have > size:
        part.unlink()
    return problem or f"{have} of {size} bytes arrived"


def _receive(response: requests.Response, part: Path, have: int, size: int | None) -> str:
    """Append the body to the first `have` bytes of `part`; return why the connection broke, or ""."""
    with (
        open(part, "ab" if have else "wb") as file,
        tqdm(total=size, initial=have, unit="B", unit_scale=True, desc=part.stem, disable=None) as progress,
    ):
        try:
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)
                progress.update(len(chunk))
        except requests.RequestException as error:
            return _reason(error)
    return ""


def _version_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _known_version(url: str, part: Path) -> str:
    """Return the version of the file that `part` belongs to, or "" if it is unknown."""
    try:
        known = json.loads(_version_file(part).read_bytes())
        return known["version"] if known["url"] == url and part.exists() else ""
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def _remember_version(url: str, part: Path, response: requests.Response) -> None:
    tag = response.headers.get("ETag", "")
    is_strong = tag.startswith('"')  # weak tags, W/, do not identify bytes
    version = tag if is_strong else response.headers.get("Last-Modified", "")
    part.unlink(missing_ok=True)
    with replace_file(_version_file(part)) as file:
        file.write(json.dumps({"url": url, "version": version}).encode())


def _reason(error: Exception) -> str:
    """Return the innermost of the nested messages of requests and urllib3."""
    innermost = str(error).rpartition(": ")[2].rstrip("')\">")
    return innermost + ")" * (innermost.count("(") - innermost.count(")")) or type(error).__name__
