"""Facts of captions and who copies whom come in; one quality card a group of captions goes out, as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmmlo.building.measures.quality.facts import Facts
from openmmlo.building.measures.quality.truncation import Limit

Flags = NDArray[np.bool_]

DIGITS = 6


@dataclass(frozen=True)
class Evidence:
    """What is known of all N captions of a data set.

    Attributes:
        shares: kind -> (N,) whether a caption has a defect; None where that cannot be told.
        scope: kind -> (N,) which captions a share is of, where not of all.
        limits: encoders; those with a reason were not counted for.
    """

    facts: Facts
    shares: Mapping[str, Flags | None]
    scope: Mapping[str, Flags]
    limits: Sequence[Limit]


def card(evidence: Evidence, rows: Flags) -> dict[str, Any]:
    """The quality card of some captions. What is not defined is None: every rate of no caption, for one."""
    facts = evidence.facts
    tokens = {name: counts[:, rows] for name, counts in facts.tokens.items()}
    shares = {kind: _share(flags, rows, evidence.scope.get(kind)) for kind, flags in evidence.shares.items()}
    repeated = shares["repeated_ngrams"]
    if repeated is not None:
        repeated["ngrams"] = rate(int(facts.again[rows].sum()), int(facts.grams[rows].sum()))
    return {
        "captions": int(rows.sum()),
        "words": spread(facts.words[rows]),
        "characters": spread(facts.characters[rows]),
        "tokens": {name: spread(counts[0]) for name, counts in tokens.items()},
        "truncated": {limit.encoder: _truncated(limit, tokens) for limit in evidence.limits},
        **shares,
    }


def _share(flags: Flags | None, rows: Flags, scope: Flags | None) -> dict[str, Any] | None:
    if flags is None:
        return None
    among = rows if scope is None else rows & scope
    if scope is not None and not among.any():
        return None
    count = int((flags & among).sum())
    return {"captions": count, "rate": rate(count, int(among.sum()))}


def _truncated(limit: Limit, tokens: Mapping[str, NDArray[np.int32]]) -> dict[str, Any] | None:
    if limit.tokenizer not in tokens:
        return None
    masked, written = ((counts > limit.tokens) for counts in tokens[limit.tokenizer])
    return {
        "captions": int(masked.sum()),
        "rate": rate(int(masked.sum()), len(masked)),
        "as_written": {"captions": int(written.sum()), "rate": rate(int(written.sum()), len(written))},
    }


def rate(count: int, of: int) -> float | None:
    """A share as a fraction; None of nothing."""
    return round(count / of, DIGITS) if of else None


def spread(values: NDArray[Any]) -> dict[str, float | int | None]:
    """Mean, median, 5th and 95th percentile (linear between neighbours) and greatest of some counts."""
    if not len(values):
        return dict.fromkeys(("mean", "median", "p05", "p95", "max"))
    median, low, high = (round(float(value), DIGITS) for value in np.percentile(values, (50, 5, 95)))
    mean = round(float(values.mean(dtype=np.float64)), DIGITS)
    return {"mean": mean, "median": median, "p05": low, "p95": high, "max": int(values.max())}
