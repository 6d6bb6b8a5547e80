"""The Hub's own client, called with patience: what may pass is tried again, what will not is said with its remedy.

The client itself tries single requests again for half a minute or so, but not its commits, its discussions or an
upload that broke off; here whole steps are repeated, each of them such that doing it twice changes nothing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from logging import ERROR
from typing import Literal, TypeVar

from openmmlo.errors import ConfigError, HubError, PublishRefused
from openmmlo.progress import Progress, Silent

Kind = Literal["dataset", "space"]
REPO_TYPE: Kind = "dataset"
_NAMES = {"dataset": "data set", "space": "Space"}
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_STALLED = 300.0  # seconds without a byte before a connection counts as broken; the client's own default is never

T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """How a broken connection is put up with.

    Attributes:
        attempts: failures in a row, with nothing achieved between them, before giving up.
        unreached: the same where the Hub never answered at all: most likely there is no connection.
        first: seconds before the first new attempt; each further wait is twice as long.
        longest: seconds that a wait grows to.
        asked: seconds that the Hub may ask for (``Retry-After``, rate limits) before that counts as a refusal.
    """

    attempts: int = 8
    unreached: int = 3
    first: float = 2.0
    longest: float = 60.0
    asked: float = 3700.0

    def wait(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row."""
        return min(self.first * 2.0 ** (failures - 1), self.longest)


class Connection:
    """One repository on the Hub, a data set unless said otherwise, and the patience with which it is spoken to.

    Args:
        repo: ``owner/name``.
        writing: a token is needed, and asked for at once.
        kind: ``dataset`` or ``space``.
        anonymous: no token is used, even where there is one.

    Raises:
        ConfigError: not the name of a repository.
        HubError: no token where one is needed.
    """

    def __init__(
        self,
        repo: str,
        patience: Patience | None = None,
        progress: Progress | None = None,
        writing: bool = False,
        kind: Kind = REPO_TYPE,
        anonymous: bool = False,
    ) -> None:
        from huggingface_hub import HfApi, constants, get_token

        from openmmlo import __version__

        self.repo = checked_repo(repo)
        self.kind: Kind = kind
        self.patience = patience or Patience()
        self.progress = progress or Silent()
        self.endpoint: str = constants.ENDPOINT
        self.token: str | None = None if anonymous else get_token()
        self._reached = False
        if writing and self.token is None:
            raise HubError(
                "No Hugging Face token was found. Log in with `hf auth login`, or set HF_TOKEN to a token that may "
                f"write ({self.endpoint}/settings/tokens)."
            )
        self.api = HfApi(token=self.token or False, library_name="openmmlo", library_version=__version__)

    @property
    def url(self) -> str:
        return f"{self.endpoint}/{self.kind}s/{self.repo}"

    def call(self, step: Callable[[], T]) -> T:
        """Do a step, again while it fails for a reason that may pass. Whatever it does must be safe to do twice.

        Raises:
            HubError: it failed for good, or too often.
        """
        failures = 0
        while True:
            self._limit_stalls()
            try:
                result = step()
            except HubError:
                raise  # said already
            except Exception as error:
                failures += 1
                self.recover(error, failures)
            else:
                self._reached = True
                return result

    def recover(self, error: Exception, failures: int) -> None:
        """Wait where an error may pass, the n-th in a row. Raises HubError, with the remedy, where it will not."""
        self._reached |= any(_status(item) is not None for item in _chain(error))
        most = self.patience.attempts if self._reached else self.patience.unreached
        if not may_pass(error) or failures >= most:
            raise self.explained(error, failures) from error
        wait = self.patience.wait(failures)
        asked = _asked_for(error)
        if asked is not None:
            if asked > self.patience.asked:
                raise HubError(
                    f"The Hub asks to wait {asked:,.0f} s. Run the same command then; it goes on."
                ) from error
            wait = asked + 1
        self.progress.say(f"{self._told(error)} Trying again in {wait:.0f} s.")
        time.sleep(wait)

    def explained(self, error: Exception, failures: int) -> HubError:
        """A Hub error as a person needs it: what went wrong and what to do, without tokens or signed addresses."""
        from huggingface_hub import errors

        chain = list(_chain(error))
        first = next((item for item in chain if getattr(item, "response", None) is not None), chain[0])
        status = _status(first)
        told = self._told(error)
        if any(isinstance(item, errors.OfflineModeIsEnabled) for item in chain):
            return HubError("HF_HUB_OFFLINE forbids the Hub. Unset it (and TRANSFORMERS_OFFLINE) and run this again.")
        if any(isinstance(item, errors.GatedRepoError) for item in chain):
            return HubError(f"{self.repo} is gated. Ask for access at {self.url}, then run this again.")
        if any(isinstance(item, errors.RevisionNotFoundError) for item in chain):
            return HubError(f"{self.repo} has no such revision. Its branches and tags: {self.url}/tree/main")
        if isinstance(first, errors.RepositoryNotFoundError):
            return HubError(
                f"{self.endpoint} has no {_NAMES[self.kind]} {self.repo} or your token may not see it. Check the name: "
                "private ones need `hf auth login` or HF_TOKEN."
            )
        if status == 401:
            return HubError(
                f"The Hub does not accept your token. Make one that may write at {self.endpoint}/settings/tokens, then "
                "`hf auth login`, or set HF_TOKEN (it goes before a login)."
            )
        if status in (402, 403):
            return HubError(
                f"You may not write to {self.repo}: {told} Use a name of your own or of your organisation and a token "
                "that may write, or propose the change with --create-pr."
            )
        if may_pass(error):
            return HubError(
                f"{told} Gave up after {failures} attempts; what arrived is kept. Run the same command to go on."
            )
        return HubError(f"The Hub refused: {told}")

    def _told(self, error: Exception) -> str:
        """One line on an error; no token, and addresses without what stands behind the question mark."""
        chain = list(_chain(error))
        first = next((item for item in chain if getattr(item, "response", None) is not None), chain[-1])
        status = _status(first)
        text = getattr(first, "server_message", None) or str(first) or type(first).__name__
        text = re.sub(r"(https?://[^\s?'\"]*)\?[^\s'\"]*", r"\1", text)
        if self.token:
            text = text.replace(self.token, "<token>")
        line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())[:300].rstrip(".")
        return f"The Hub answered {status}: {line}." if status else f"{self.endpoint} cannot be reached: {line}."

    @staticmethod
    def _limit_stalls() -> None:
        """Give the client's session a limit where it has none: it would wait for a silent connection for ever."""
        from huggingface_hub import get_session

        session = get_session()
        if session.timeout.read is None:
            session.timeout = _STALLED


def checked_repo(repo: str) -> str:
    """``owner/name``, as the Hub allows it. Raises ConfigError for anything else."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # exported without saying so

    wish = "Expected owner/name: letters, digits, '-', '_' and '.', each part at most 96 characters."
    if repo.count("/") != 1:
        raise ConfigError(f"{repo!r} is no repository of the Hub. {wish}")
    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise ConfigError(f"{repo!r} is no repository of the Hub. {wish}") from error
    return repo


def may_pass(error: BaseException) -> bool:
    """Whether the same step may work a little later: the Hub is busy or down, or the connection broke."""
    from huggingface_hub import errors

    # The HTTP library's own base class, whichever library this release of the client is built on.
    base = next(item for item in errors.HfHubHTTPError.__mro__ if item.__module__.startswith("httpx"))
    for item in _chain(error):
        if isinstance(item, (errors.OfflineModeIsEnabled, PublishRefused)):
            return False
        if (status := _status(item)) is not None:
            return status in _PASSING
        if isinstance(item, (base, ConnectionError, TimeoutError)):
            return True
        if isinstance(item, OSError) and "onsistency check" in str(item):  # a download that ended early
            return True
    return False


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    item: BaseException | None = error
    while item is not None and id(item) not in seen:
        seen.add(id(item))
        yield item
        item = item.__cause__ or item.__context__


def _status(error: BaseException) -> int | None:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def _asked_for(error: BaseException) -> float | None:
    """Seconds that the Hub asks to wait, in either of the headers that say so."""
    for item in _chain(error):
        headers = getattr(getattr(item, "response", None), "headers", None)
        if headers is None:
            continue
        after = str(headers.get("retry-after") or "").strip()
        if after.isdigit():
            return float(after)
        limit = re.search(r"r\s*=\s*0\s*;\s*t\s*=\s*(\d+)", str(headers.get("ratelimit") or ""))
        if limit:
            return float(limit.group(1))
    return None


@contextmanager
def quiet_client() -> Iterator[None]:
    """No bars and no warnings of the client's own while ours are shown: they would mix, and name signed addresses."""
    from huggingface_hub.utils import (  # type: ignore[attr-defined]
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
        logging,
    )

    shown, verbosity = not are_progress_bars_disabled(), logging.get_verbosity()
    disable_progress_bars()
    logging.set_verbosity(ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if shown:
            enable_progress_bars()
