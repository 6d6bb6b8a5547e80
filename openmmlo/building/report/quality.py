"""The quality measure comes in; one table goes out, head against tail, and examples of what it found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openmmlo.pages.wording import number, part, percent

GROUPS = {"all": "all", "many": "many", "medium": "medium", "few": "few", "ood": "OOD"}

LENGTHS = {"words": "words", "characters": "characters"}

RATES = {
    "empty": "hold no word",
    "only_mask": "hold little but the mask",
    "repeated_ngrams": "repeat themselves",
    "unfinished": "break off",
    "refusals": "refuse to describe",
    "prompt_echoes": "echo the prompt",
    "addresses": "hold a web or mail address",
    "special_tokens": "hold a model’s special token",
    "broken_characters": "hold broken characters",
    "other_script": "are in another script",
    "exact_duplicates": "equal another caption of their split",
    "near_duplicates": "nearly equal another caption",
    "across_classes": "nearly equal one of another class",
    "copies_of_train": "nearly equal one of train",
    "masked_duplicates": "once masked, equal another",
    "masked_across_classes": "once masked, equal one of another class",
}
"""What captions may do -> its row; other rates that the measure has get a row by their own name."""

_EXAMPLES_A_KIND = 3


def quality_view(quality: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Everything the page says of caption quality; None where it was not measured."""
    if quality is None:
        return None
    groups = [name for name in GROUPS if part(quality, "groups", name, "captions")]
    by_group = _table(part(quality, "groups") or {}, groups, quality)
    return {
        "by_group": [row for row in by_group if not row["none"]],
        "none": [row["label"] for row in by_group if row["none"]],
        "groups": [GROUPS[name] for name in groups],
        "by_split": _table(part(quality, "splits") or {}, list(part(quality, "splits") or {}), quality),
        "splits": list(part(quality, "splits") or {}),
        "limits": part(quality, "limits") or [],
        "examples": _examples(part(quality, "examples") or []),
        "clusters": [item for item in part(quality, "clusters") or [] if part(item, "captions")],
        "uncounted": _uncounted(part(quality, "limits") or []),
    }


def _table(cards: Mapping[str, Any], columns: list[str], quality: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of a label and one text a column; headings have no texts."""
    chosen = [cards[name] for name in columns]
    rows: list[dict[str, Any]] = [_row("captions", [number(part(card, "captions")) for card in chosen])]
    for key, label in LENGTHS.items():
        rows.append(_row(f"{label}, median", [number(part(card, key, "median")) for card in chosen]))
        rows.append(_row(f"{label}, 5% to 95%", [_range(part(card, key)) for card in chosen], minor=True))
    for limit in part(quality, "limits") or []:
        encoder, tokens = str(part(limit, "encoder")), part(limit, "tokens")
        values = [part(card, "truncated", encoder, "rate") for card in chosen]
        if any(value is not None for value in values):
            rows.append(_row(f"cut off by {encoder} ({number(tokens)} tokens)", [percent(v) for v in values], values))
    for key, label in {**RATES, **_further(chosen)}.items():
        values = [part(card, key, "rate") for card in chosen]
        if any(value is not None for value in values):
            rows.append(_row(label, [percent(value) for value in values], values))
    return rows


def _uncounted(limits: list[Any]) -> list[str]:
    """Encoders whose limit is known but for which no token was counted."""
    return [str(part(limit, "encoder")) for limit in limits if part(limit, "encoder") and part(limit, "reason")]


def _further(cards: list[Any]) -> dict[str, str]:
    """Rates that the measure has beyond those named here."""
    known = {*RATES, *LENGTHS, "truncated", "captions"}
    keys = {
        key: None for card in cards for key in card or () if key not in known and part(card, key, "rate") is not None
    }
    return {key: key.replace("_", " ") for key in keys}


def _row(label: str, texts: list[str], rates: list[Any] | None = None, minor: bool = False) -> dict[str, Any]:
    numbers = [value for value in rates or [] if value is not None]
    return {"label": label, "texts": texts, "none": bool(numbers) and not any(numbers), "minor": minor}


def _range(block: Any) -> str:
    low, high = part(block, "p05"), part(block, "p95")
    return f"{number(low)} to {number(high)}" if low is not None and high is not None else "–"


def _examples(examples: list[Any]) -> list[dict[str, Any]]:
    kinds: dict[str, list[Any]] = {}
    for item in examples:
        if part(item, "kind"):
            kinds.setdefault(str(item["kind"]), []).append(item)
    order = [*RATES, *sorted(kinds)]
    return [
        {"kind": RATES.get(kind, kind.replace("_", " ")), "items": kinds[kind][:_EXAMPLES_A_KIND]}
        for kind in sorted(kinds, key=order.index)
    ]
