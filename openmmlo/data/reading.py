"""The bytes of a sample's image, or the reason, free of local paths, why there are none."""

from __future__ import annotations

from openmmlo.errors import SampleFailed
from openmmlo.records import Sample, Status

PROBLEMS = {
    Status.MISSING: "no file where the list says it is",
    Status.LINK: "a link that leaves the image root; --follow-links reads it",
    Status.NAME: "the file name is not valid UTF-8; rename the file",
    Status.UNREADABLE: "not a regular file",
}
"""What a problem that a source saw while listing means, in words."""


def known_problem(sample: Sample) -> SampleFailed | None:
    """Why a sample's image cannot be read, as far as its source knew when it listed it."""
    if sample.problem is None:
        return None
    return SampleFailed(sample.problem, PROBLEMS.get(sample.problem, sample.problem.value))


def read_image(sample: Sample) -> bytes:
    """The original bytes of a sample's image; SampleFailed, without a local path, where they cannot be had."""
    try:
        return sample.image.read()
    except FileNotFoundError:
        raise SampleFailed(Status.MISSING, PROBLEMS[Status.MISSING]) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise SampleFailed(Status.UNREADABLE, f"cannot be read: {reason}") from None
