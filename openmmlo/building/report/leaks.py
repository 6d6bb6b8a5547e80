"""The audit comes in; its tables and drawings go out: what masked captions still give away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openmmlo.building.report.captions import segments
from openmmlo.pages.wording import counted, number, part, percent, share

KINDS = {
    "name": "a name or synonym",
    "inflection": "an inflection of one",
    "head": "a head noun",
    "hypernym": "a broader word",
    "compound": "a name inside a longer word",
    "misspelling": "a misspelt name",
}
GROUPS = ("many", "medium", "few", "ood")
RULES = {
    "raw": "captions as written",
    "masked": "masked captions",
    "majority": "always the largest class",
    "chance": "chance",
}
SHORTCUTS = {
    "caption_length": "words of the caption",
    "mask_count": "number of masks",
    "class_names": "class names left in it",
}
_WORST, _EXAMPLES = 12, 12


def audit_view(audit: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Everything the page says of an audit; None where there is none."""
    if audit is None:
        return None
    return {
        "level": part(audit, "level"),
        "lexicon_version": part(audit, "lexicon_version"),
        "masks": _masks(audit),
        "kinds": _kinds(audit),
        "groups": _blocks(audit, "groups"),
        "splits": _splits(audit),
        "others": _others(audit),
        "classifier": _classifier(part(audit, "classifier")),
        "shortcuts": _shortcuts(part(audit, "shortcuts")),
        "worst": _listed(audit, "worst_classes")[:_WORST],
        "examples": [_example(item) for item in _listed(audit, "examples")[:_EXAMPLES]],
    }


def _listed(audit: Mapping[str, Any], key: str) -> list[Any]:
    return [item for item in part(audit, key) or [] if item]


def _masks(audit: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for key, label in (("id", "in distribution"), ("ood", "out of distribution")):
        block = part(audit, "masks", key)
        if block is not None:
            rate = part(block, "rate")
            per_caption = number(part(block, "masks_per_caption"), 2)
            detail = f"{number(part(block, 'captions'))} captions, {per_caption} masks each"
            rows.append({"label": label, "rate": rate, "width": share(rate), "detail": detail, "key": key})
    return rows


def _pair(label: str, raw: Any, masked: Any, captions: Any = None) -> dict[str, Any]:
    """One row of a table as written against masked; both are {captions, rate}."""
    before, after = part(raw, "rate"), part(masked, "rate")
    return {
        "label": label,
        "captions": captions,
        "raw": before,
        "raw_count": part(raw, "captions"),
        "masked": after,
        "masked_count": part(masked, "captions"),
        "raw_width": share(before),
        "masked_width": share(after),
        "allowed": False,
        "title": f"{label}: {percent(before)} as written, {percent(after)} masked",
    }


def _kinds(audit: Mapping[str, Any]) -> list[dict[str, Any]]:
    raw, masked = (part(audit, block, "all") for block in ("unmasked", "leaks"))
    known: dict[str, Any] = {**(part(raw, "kinds") or {}), **(part(masked, "kinds") or {})}
    kinds = [kind for kind in KINDS if kind in known] + sorted(kind for kind in known if kind not in KINDS)
    hidden = part(audit, "counted") or kinds
    rows = [
        {
            **_pair(KINDS.get(kind, kind), part(raw, "kinds", kind), part(masked, "kinds", kind)),
            "allowed": kind not in hidden,
        }
        for kind in kinds
        if part(raw, "kinds", kind) or part(masked, "kinds", kind)
    ]
    return [_pair("any that the level hides", part(raw, "any"), part(masked, "any")), *rows] if rows else []


def _blocks(audit: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    raw, masked = (part(audit, block, "all", key) or {} for block in ("unmasked", "leaks"))
    return [
        _pair(
            "OOD" if name == "ood" else name,
            part(raw, name, "any"),
            part(masked, name, "any"),
            part(masked, name, "captions"),
        )
        for name in GROUPS
        if part(masked, name, "captions") or part(raw, name, "captions")
    ]


def _splits(audit: Mapping[str, Any]) -> list[dict[str, Any]]:
    raw, masked = (part(audit, block) or {} for block in ("unmasked", "leaks"))
    return [
        _pair(name, part(raw, name, "any"), part(masked, name, "any"), part(masked, name, "captions"))
        for name in masked
        if name != "all"
    ]


def _others(audit: Mapping[str, Any]) -> list[str]:
    lines = []
    rate = part(audit, "other_classes", "rate")
    if rate is not None:
        lines.append(f"{percent(rate)} of masked captions name another class; that is left as it is.")
    over = part(audit, "over_masking", "rate")
    if over is not None:
        lines.append(f"{percent(over)} of masked captions hide a word that others hold as well, whatever they show.")
    return lines


def _classifier(block: Any) -> dict[str, Any] | None:
    if block is None:
        return None
    results = part(block, "results")
    if not results:
        return {"reason": part(block, "reason") or "it was not run", "rows": []}
    rows = []
    for group in ("all", "many", "medium", "few"):
        points = [
            {"rule": rule, "label": label, "value": part(results, rule, group), "at": share(part(results, rule, group))}
            for rule, label in RULES.items()
            if part(results, rule, group) is not None
        ]
        if points:
            rows.append({"group": group, "points": points})
    tested = part(results, "masked", "samples") or part(results, "raw", "samples")
    return {
        "reason": None,
        "rows": rows,
        "rules": RULES,
        "about": {key: part(block, key) for key in ("model", "features", "trained_on", "tested_on", "vocabulary")},
        "tested": counted(tested, "caption") if isinstance(tested, int) else None,
    }


def _shortcuts(block: Any) -> dict[str, Any] | None:
    if block is None:
        return None
    rows = [
        {
            "label": label,
            "auroc": part(block, key, "auroc"),
            "at": share(part(block, key, "auroc")),
            "means": [number(part(block, key, side)) for side in ("id", "ood")],
        }
        for key, label in SHORTCUTS.items()
        if part(block, key, "auroc") is not None
    ]
    return {"reason": None if rows else part(block, "reason") or "it was not measured", "rows": rows}


def _example(item: Mapping[str, Any]) -> dict[str, Any]:
    found = item.get("found")
    marked = [str(word) for word in found] if isinstance(found, list) else [str(found or "")]
    return {**item, "segments": segments(str(item.get("text") or ""), marked)}
