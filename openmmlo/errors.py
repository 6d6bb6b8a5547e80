"""Errors meant for the person at the keyboard, each with the exit code the command line gives it.

Exit codes: 0 done, 1 internal error, 2 bad input, 3 finished with failed samples, 4 a check failed,
130 interrupted.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from openmmlo.records import Status


class OpenmmloError(Exception):
    """A mistake or an obstacle that the user can mend; the message says what, expected what, and what to do."""

    exit_code = 2


class UnknownName(OpenmmloError):
    """A name that no table holds."""

    def __init__(self, kind: str, name: str, known: Iterable[str], extra: str = "") -> None:
        names = sorted(known)
        near = get_close_matches(name, names, n=1, cutoff=0.6)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        super().__init__(f"No {kind} named {name!r}.{hint} Known: {', '.join(names) or 'none'}.{extra}")
        self._arguments = (kind, name, tuple(names), extra)

    def __reduce__(self) -> tuple[type[UnknownName], tuple[str, str, tuple[str, ...], str]]:
        return type(self), self._arguments  # it comes back from worker processes by pickle


class ConfigError(OpenmmloError):
    """A key or value that a recipe, a flag or --set may not hold."""


class DataError(OpenmmloError):
    """A list, an archive, a folder or a class table that cannot be used as it is."""


class ModelError(OpenmmloError):
    """A checkpoint that is not at hand or does not fit."""


class BuildRefused(OpenmmloError):
    """A build that would mix, overwrite or collide with another one."""


class TrainingRefused(OpenmmloError):
    """A training run that would mix with another one, or overwrite what is there."""


class TrainingStopped(OpenmmloError):
    """Training that cannot go on: a loss or a gradient that is no number; the last checkpoint is kept."""

    exit_code = 1


class HubError(OpenmmloError):
    """The Hugging Face Hub cannot be reached, or does not let the user do this; what arrived there is kept."""


class PublishRefused(OpenmmloError):
    """A push or pull that would overwrite, mix or give away something."""


class SubmissionRefused(OpenmmloError):
    """A submission, predictions or a mark that the leaderboard does not take; nothing of it was written."""


class DiskFull(OpenmmloError):
    """Writing stopped for want of space; everything finished so far is kept."""


class WorkerDied(OpenmmloError):
    """A worker process ended without finishing; everything journalled so far is kept."""

    exit_code = 1


class CaptioningStopped(OpenmmloError):
    """A captioner had to stop within a batch: its server is gone or refuses it, or its budget is used up.

    ``outcomes`` has what became of each sample of the batch, None where nothing did; what there is can be kept. It
    stays behind where the error travels between processes.
    """

    def __init__(self, message: str, outcomes: Sequence[str | SampleFailed | None] = ()) -> None:
        super().__init__(message)
        self.outcomes = outcomes

    def __reduce__(self) -> tuple[type[CaptioningStopped], tuple[str]]:
        return type(self), (str(self),)


class SampleFailed(Exception):
    """One sample cannot become a row; it becomes an error row with this status and reason.

    ``reason`` is published, so it holds no local path; ``detail`` goes to the local log alone.
    """

    def __init__(self, status: Status, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[SampleFailed], tuple[Status, str, str]]:
        return type(self), (self.status, self.reason, self.detail)
