"""What was measured on a data set comes in, the card's section on it goes out; what was not measured is named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openmmlo import markdown

Measures = Mapping[str, Mapping[str, Any] | None]

_GROUPS = ("many", "medium", "few", "ood")
_KINDS = ("name", "inflection", "head", "hypernym", "compound", "misspelling")
_UNDEFINED = "–"


def measured(measures: Measures) -> str:
    """Sections on statistics, leaks and caption quality; one line for each that was not measured."""
    parts = []
    for name, heading, tell in (
        ("stats", "### How long the tails are", _statistics),
        ("audit", "### What masked captions still give away", _audit),
        ("quality", "### The captions", _quality),
    ):
        value = measures.get(name)
        parts.append(heading)
        parts.append(tell(value) if value else f"Not measured. `openmmlo {name} DIR` does.")
    return "\n\n".join(parts)


def _at(value: Any, *path: str) -> Any:
    """What lies at the end of a path of keys; None where it ends early."""
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _number(value: Any, digits: int = 2) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return _UNDEFINED
    return f"{value:,}" if isinstance(value, int) else f"{value:,.{digits}f}"


def _percent(value: Any) -> str:
    return f"{value:.1%}" if isinstance(value, (int, float)) and not isinstance(value, bool) else _UNDEFINED


def _statistics(stats: Mapping[str, Any]) -> str:
    training = stats.get("training") or {}
    of_words = {kind: _at(stats, "splits", "all", kind) for kind in ("raw", "masked")}
    rows = [
        (
            "training images a class",
            _number(training.get("images")),
            _number(training.get("classes")),
            _number(training.get("imbalance_factor")),
            _number(training.get("gini"), 3),
            _percent(_at(training, "pareto", "images")),
            _UNDEFINED,
        )
    ]
    for kind, counts in of_words.items():
        for what, part in ((f"words, {kind}", counts), (f"nouns, {kind}", _at(counts, "nouns"))):
            if part:
                rows.append(
                    (
                        what,
                        _number(part.get("tokens")),
                        _number(part.get("types")),
                        _UNDEFINED,
                        _number(part.get("gini"), 3),
                        _percent(_at(part, "pareto", "tokens")),
                        _number(_at(part, "zipf", "slope")),
                    )
                )
    head = ("of", "count", "kinds", "largest / smallest", "Gini", "share of the largest 20 %", "Zipf slope")
    naming = _at(stats, "splits", "train", "naming", "spearman") or _at(stats, "splits", "all", "naming", "spearman")
    lines = [markdown.table(head, rows)]
    if naming and naming.get("rho") is not None:
        lines.append(
            f"Classes with more images are named more often in captions: Spearman's rank correlation is "
            f"{_number(naming['rho'])} over {_number(naming.get('classes'))} classes."
        )
    return "\n\n".join(lines)


def _audit(audit: Mapping[str, Any]) -> str:
    parts = [f"Mask level: {markdown.text(audit.get('level'))}."]
    masks = audit.get("masks") or {}
    rates = [f"{name}: {_percent(_at(masks, key, 'rate'))}" for key, name in _SIDES.items() if masks.get(key)]
    if rates:
        parts.append(f"Captions with a mask: {', '.join(rates)}.")
    leaks, unmasked = (_at(audit, key, "all") or {} for key in ("leaks", "unmasked"))
    counted = audit.get("counted") or _KINDS
    rows = [
        ("anything that this level hides", _percent(_at(unmasked, "any", "rate")), _percent(_at(leaks, "any", "rate")))
    ]
    for kind in _KINDS:
        if _at(leaks, "kinds", kind) or _at(unmasked, "kinds", kind):
            rows.append(
                (
                    _KIND_NAMES[kind] + ("" if kind in counted else " (left by the level)"),
                    _percent(_at(unmasked, "kinds", kind, "rate")),
                    _percent(_at(leaks, "kinds", kind, "rate")),
                )
            )
    parts.append(markdown.table(("the own class's", "captions as written", "masked captions"), rows))
    if (over := _at(audit, "over_masking", "rate")) is not None:
        parts.append(f"Masked without need: {_percent(over)}. Captions that name another class: {_other(audit)}.")
    parts += [_classifier(audit.get("classifier")), _shortcuts(audit.get("shortcuts"))]
    return "\n\n".join(part for part in parts if part)


_SIDES = {"id": "in distribution", "ood": "out of distribution"}
_KIND_NAMES = {
    "name": "name or synonym",
    "inflection": "inflection",
    "head": "head noun",
    "hypernym": "broader term",
    "compound": "name inside another word",
    "misspelling": "misspelt name",
}


def _other(audit: Mapping[str, Any]) -> str:
    return _percent(_at(audit, "other_classes", "rate"))


def _classifier(value: Any) -> str:
    results = _at(value, "results")
    if not results:
        reason = _at(value, "reason")
        return f"No classifier from caption to class: {markdown.text(reason)}." if reason else ""
    columns = [key for key in ("all", *_GROUPS) if any(_at(row, key) is not None for row in results.values())]
    rows = [
        (_TRIALS[name], *(_percent(_at(results, name, column)) for column in columns))
        for name in _TRIALS
        if name in results
    ]
    what = (
        "Accuracy of a bag-of-words classifier from caption to class "
        f"(trained on {markdown.text(_at(value, 'trained_on'))}, tested on {markdown.text(_at(value, 'tested_on'))}):"
    )
    return f"{what}\n\n{markdown.table(('reads', *columns), rows)}"


_TRIALS = {
    "raw": "captions as written",
    "masked": "masked captions",
    "majority": "nothing: the largest class",
    "chance": "nothing: at random",
}


def _shortcuts(value: Any) -> str:
    reason = _at(value, "reason")
    if reason:
        return f"No shortcut out of distribution was measured: {markdown.text(reason)}."
    found = [
        f"{what} {_number(_at(value, key, 'auroc'), 3)}"
        for key, what in (("caption_length", "the length of the caption"), ("mask_count", "the number of masks"))
        if _at(value, key, "auroc") is not None
    ]
    return f"AUROC, in against out of distribution, that one number alone reaches: {', '.join(found)}." if found else ""


def _quality(quality: Mapping[str, Any]) -> str:
    groups = quality.get("groups") or {}
    names = [name for name in ("all", *_GROUPS) if groups.get(name)]
    rows = [
        ("captions", *(_number(_at(groups, name, "captions")) for name in names)),
        ("words, median", *(_number(_at(groups, name, "words", "median"), 0) for name in names)),
        ("words, 95th percentile", *(_number(_at(groups, name, "words", "p95"), 0) for name in names)),
    ]
    for limit in quality.get("limits") or ():
        encoder = limit["encoder"]
        rates = [_percent(_at(groups, name, "truncated", encoder, "rate")) for name in names]
        if set(rates) != {_UNDEFINED}:  # its tokenizer was at hand
            rows.append((f"longer than {markdown.text(encoder)} reads ({_number(limit.get('tokens'))} tokens)", *rates))
    for key, what in _FAULTS.items():
        if any(_at(groups, name, key) for name in names):
            rows.append((what, *(_percent(_at(groups, name, key, "rate")) for name in names)))
    return markdown.table(("", *names), rows)


_FAULTS = {
    "repeated_ngrams": "repeat themselves",
    "refusals": "refuse or apologise",
    "prompt_echoes": "echo the prompt",
    "empty": "empty",
    "exact_duplicates": "equal another caption",
    "near_duplicates": "nearly equal another caption",
}
