"""A ``scored`` block comes in; one number a metric goes out, under the path that leads to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from openmmlo.errors import SubmissionRefused
from openmmlo.leaderboard.limits import told

PATH, LEAVES = 400, 400_000
"""Characters of a path, and leaves, at most: a stranger's long keys around many leaves would be repeated for each."""


def flat(scored: Mapping[str, Any], lists: bool = False) -> dict[str, Any]:
    """Every leaf of a block, by the keys that lead to it, joined by dots: ``classification.test.groups.few``.

    Args:
        scored: what :func:`openmmlo.evaluate.score.score` gives, or a part of it.
        lists: with what stands in lists (accuracies a class), by place: ``classification.test.per_class.7``.

    Raises:
        SubmissionRefused: two leaves would share a path, or there are more or longer paths than any result has.
    """
    found: dict[str, Any] = {}
    for path, value in _leaves(scored, "", lists):
        if len(found) == LEAVES:
            raise SubmissionRefused(f"A scored block has more than {LEAVES:,} metrics. Give what openmmlo eval wrote.")
        if path in found:
            raise SubmissionRefused(f"Two metrics are called {path!r}. Call no set or detector so that this happens.")
        found[path] = value
    return found


def numbers(scored: Mapping[str, Any]) -> dict[str, float]:
    """The metrics among the leaves: those that are numbers. What is undefined is absent."""
    return {
        path: value
        for path, value in flat(scored).items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }


def _leaves(value: Any, path: str, lists: bool) -> Iterator[tuple[str, Any]]:
    if len(path) > PATH:
        raise SubmissionRefused(f"A metric's path has more than {PATH} characters: it begins with {told(path)}.")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key), lists)
        if not value and lists:
            yield path, {}
    elif isinstance(value, list):
        if lists:
            yield f"{path}.length", len(value)
            for place, inner in enumerate(value):
                yield from _leaves(inner, f"{path}.{place}", lists)
    else:
        yield path, value
