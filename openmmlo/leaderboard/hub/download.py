"""One file of one commit comes from the Hub: no longer than it was listed, and with the digest it was listed with."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import urljoin, urlsplit

from openmmlo.building.publishing.hub import Connection
from openmmlo.building.publishing.transfer import Remote, git_hasher
from openmmlo.errors import HubError, SubmissionRefused
from openmmlo.writing import space_needed

_MOST_REDIRECTS = 5


class _Arriving:
    """A file on its way: what arrived of it, and its digests so far."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self.file = file
        self.size = size
        self.restart()

    def restart(self) -> None:
        self.file.seek(0)
        self.file.truncate()
        self.bytes = 0
        self.sha256 = hashlib.sha256()
        self.git = git_hasher(self.size)

    def take(self, piece: bytes) -> bool:
        """Keep a piece; False, and nothing kept, where the file is longer than it may be."""
        self.bytes += len(piece)
        if self.bytes > self.size:
            return False
        self.file.write(piece)
        self.sha256.update(piece)
        self.git.update(piece)
        return True


def download(connection: Connection, commit: str, path: str, listed: Remote, to: Path) -> None:
    """Fetch a file into its place, whole or not at all. A broken connection goes on where it broke.

    Args:
        commit: 40 hexadecimal digits.
        listed: what the Hub lists of it at that commit: never more than its bytes are read, and its digest is checked
            while they arrive.

    Raises:
        SubmissionRefused: what arrives is longer, or another file.
        HubError: the Hub cannot be reached or does not allow it.
    """
    from huggingface_hub import hf_hub_url

    url = hf_hub_url(connection.repo, path, repo_type=connection.kind, revision=commit)
    to.parent.mkdir(parents=True, exist_ok=True)
    with space_needed(to.parent):
        descriptor, name = tempfile.mkstemp(prefix=f".{to.name[:40]}.", suffix=".tmp", dir=to.parent)
        aside = Path(name)
        try:
            with os.fdopen(descriptor, "w+b") as file:
                arriving = _Arriving(file, listed.bytes)
                whole = connection.call(lambda: _receive(connection, url, arriving))
                file.flush()
                os.fsync(file.fileno())
            _refuse_other(connection, commit, path, listed, arriving, whole)
            aside.chmod(0o644)
            aside.replace(to)
        finally:
            aside.unlink(missing_ok=True)


def _receive(connection: Connection, url: str, arriving: _Arriving) -> bool:
    """Read what is missing. Returns False where the file is longer than it may be."""
    with _answer(connection, url, arriving.bytes) as response:
        if arriving.bytes and response.status_code != 206:
            arriving.restart()
        for piece in response.iter_raw():
            if not arriving.take(piece):
                return False
    if arriving.bytes < arriving.size:
        raise ConnectionError(f"a file ended after {arriving.bytes:,} of {arriving.size:,} bytes")
    return True


@contextmanager
def _answer(connection: Connection, url: str, start: int) -> Iterator[Any]:
    """The answer to a GET from byte ``start`` on, where the Hub sends it.

    The Hub may send on, within itself or to its storage; the storage may not. The token stays with the Hub.
    """
    from huggingface_hub import get_session
    from huggingface_hub.utils import (  # type: ignore[attr-defined]  # exported without saying so
        build_hf_headers,
        hf_raise_for_status,
    )

    for _ in range(_MOST_REDIRECTS):
        own = _origin(url) == _origin(connection.endpoint)
        headers = build_hf_headers(token=(connection.token or False) if own else False, library_name="openmmlo")
        headers["Accept-Encoding"] = "identity"  # so that the bytes are those of the file
        if start:
            headers["Range"] = f"bytes={start}-"
        with get_session().stream("GET", url, headers=headers, follow_redirects=False) as response:
            if not response.has_redirect_location:
                hf_raise_for_status(response)
                yield response
                return
            onward = urljoin(url, response.headers["Location"])
        if not own or urlsplit(onward).scheme != urlsplit(connection.endpoint).scheme:
            raise HubError(f"{urlsplit(url).netloc} sends on to {urlsplit(onward).netloc}, which is not followed.")
        url = onward
    raise HubError(f"{urlsplit(url).netloc} sends on and on; stopped after {_MOST_REDIRECTS} times.")


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _refuse_other(
    connection: Connection, commit: str, path: str, listed: Remote, arriving: _Arriving, whole: bool
) -> None:
    where = f"{path} of {connection.url} at {commit[:12]}"
    if not whole:
        raise SubmissionRefused(
            f"{where} is longer than the {listed.bytes:,} bytes it is listed with. Nothing was kept."
        )
    wanted, got = (
        (listed.sha256, arriving.sha256.hexdigest())
        if listed.sha256 is not None
        else (listed.git, arriving.git.hexdigest())
    )
    if wanted != got:
        raise SubmissionRefused(
            f"{where} arrived with digest {got[:12]}, and is listed with {wanted[:12]}. Nothing was kept."
        )
