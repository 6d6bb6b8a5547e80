"""An audit comes in; tables of text for a person and one sentence that sums it up go out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Audit = Mapping[str, Any]
Row = tuple[str, ...]

KINDS: Mapping[str, str] = {
    "name": "name or synonym",
    "inflection": "inflection of one",
    "head": "head noun",
    "hypernym": "broader term",
    "compound": "name inside a word",
    "misspelling": "misspelt name",
}
TRIALS: Mapping[str, str] = {
    "raw": "captions as written",
    "masked": "masked captions",
    "majority": "nothing: largest class",
    "chance": "nothing: at random",
}
SHORTCUTS: Mapping[str, str] = {
    "caption_length": "words",
    "mask_count": "masks",
    "class_names": "names of other classes",
}
GROUPS = ("all", "many", "medium", "few", "ood")
WORTH_A_WORD = 0.6
"""Separation by a shortcut from which on the verdict speaks of it."""

_SHOWN = 5


def tables(audit: Audit) -> list[tuple[str, list[Row]]]:
    """(heading, rows) of each table; the first row names the columns. Two values in a cell are as written | masked."""
    found = [
        ("Captions that tell their class: as written | masked (* counts as a leak at this level)", _kinds(audit)),
        ("The same by split, every leak that counts", _splits(audit)),
        ("Masks, in and out of distribution", _masks(audit)),
    ]
    classifier, shortcuts = audit["classifier"], audit["shortcuts"]
    if "results" in classifier:
        found.append((_classifier_heading(classifier), _classifier(classifier["results"])))
    if "reason" not in shortcuts:
        heading = "What one number alone tells of being out of distribution (AUROC; 0.5 is nothing)"
        found.append((heading, _shortcuts(shortcuts)))
    if audit["over_masking"]["forms"]:
        found.append(("Masked most where it would stand anyway", _over_masked(audit["over_masking"]["forms"])))
    if audit["worst_classes"]:
        found.append(("Classes that leak most", _worst(audit["worst_classes"])))
    return found


def remarks(audit: Audit) -> list[str]:
    """What is told in a sentence, or could not be measured."""
    over, others = audit["over_masking"], audit["other_classes"]
    hidden = over["words_hidden"]
    ambiguous = over["ambiguous_forms"]
    lines = [
        f"Masks hide {percent(hidden['id']['rate'])} of the words in distribution and "
        f"{percent(hidden['ood']['rate'])} out of it; {percent(over['rate'])} of the names they hide would stand there "
        "anyway.",
        f"{percent(others['rate'])} of masked captions name another class. {ambiguous['ambiguous']:,} of "
        f"{ambiguous['forms']:,} forms belong to several classes.",
    ]
    for name, what in (("classifier", "No classifier"), ("shortcuts", "No shortcuts")):
        if "reason" in audit[name]:
            lines.append(f"{what}: {audit[name]['reason']}.")
    missing = [KINDS[kind] for kind, block in audit["leaks"]["all"]["kinds"].items() if block is None]
    if missing:
        lines.append(f"Not looked for, because the mask lexicon has none: {', '.join(missing)}.")
    if audit["leaks"]["all"]["unknown"]:
        lines.append(
            f"{audit['leaks']['all']['unknown']:,} captions are of classes without a known name; none is read."
        )
    return lines


def examples(audit: Audit) -> list[str]:
    """One caption for each kind of leak that counts."""
    chosen: dict[str, str] = {}
    for item in audit["examples"]:
        if item["kind"] in audit["counted"]:
            text = f"{KINDS[item['kind']]} {item['found']!r} of {item['class_key']!r}: {printable(item['text'])}"
            chosen.setdefault(item["kind"], text)
    return list(chosen.values())


def verdict(audit: Audit) -> str:
    """What the audit comes to, in plain words."""
    block, before = audit["leaks"]["all"], audit["unmasked"]["all"]
    if not block["captions"]:
        return "There is no caption of a class with a known name, so nothing can leak and nothing was shown."
    leaking, rate, at = block["any"]["captions"], percent(block["any"]["rate"]), f"at level {audit['level']}"
    as_written = f"as written {percent(before['any']['rate'])} do."
    first = (
        f"{leaking:,} of {block['captions']:,} masked captions ({rate}) still tell their class {at}; {as_written}"
        if leaking
        else f"No masked caption of {block['captions']:,} tells its class {at}; {as_written}"
    )
    return " ".join(part for part in (first, _learned(audit["classifier"]), _separable(audit["shortcuts"])) if part)


def _learned(classifier: Audit) -> str:
    results = classifier.get("results")
    if results is None:
        return ""
    best = max(results["majority"]["all"], results["chance"]["all"])
    low, high = classifier["intervals"]["masked"]["all"]
    said = f"From the words that are left a classifier tells {percent(results['masked']['all'])} of classes"
    guessing = f"; guessing, {percent(best)}." if low > best else ": no more than guessing."
    return f"{said} ({percent(low)} to {percent(high)}){guessing}"


def _separable(shortcuts: Audit) -> str:
    """The shortcut that tells most of one split, where that is worth a word."""
    if "reason" in shortcuts:
        return ""
    found = [
        (of_split["separation"], text, split)
        for key, text in SHORTCUTS.items()
        for split, of_split in shortcuts[key]["splits"].items()
    ]
    most, text, split = max(found)
    if most < WORTH_A_WORD:
        return ""
    return (
        f"The number of {text} alone parts {printable(split)} from {printable(shortcuts['id'])} with AUROC {most:.2f}."
    )


def percent(value: float | None) -> str:
    """A fraction in percent; of a small one more digits; a dash for none."""
    if value is None:
        return "-"
    digits = 1 if value == 0 or value >= 0.0005 else 4
    return f"{value:.{digits}%}".replace("%", " %")


def printable(text: str) -> str:
    """Text without what could move a terminal's cursor or colour it."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _rate(block: Mapping[str, Any] | None) -> str:
    return percent(None if block is None else block["rate"])


def _kinds(audit: Audit) -> list[Row]:
    sides = [audit["unmasked"]["all"], audit["leaks"]["all"]]
    groups = [group for group in GROUPS if group == "all" or sides[1]["groups"][group]["captions"]]
    blocks = [[side if group == "all" else side["groups"][group] for side in sides] for group in groups]
    rows: list[Row] = [("", *groups), ("captions", *(f"{pair[1]['captions']:,}" for pair in blocks))]
    for kind, text in KINDS.items():
        mark = " *" if kind in audit["counted"] else ""
        rows.append((text + mark, *(" | ".join(_rate(side["kinds"][kind]) for side in pair) for pair in blocks)))
    rows.append(("any of *", *(" | ".join(_rate(side["any"]) for side in pair) for pair in blocks)))
    return rows


def _splits(audit: Audit) -> list[Row]:
    rows: list[Row] = [("", "captions", "as written", "masked", "leaking")]
    for split in audit["splits"]:
        before, after = audit["unmasked"][split], audit["leaks"][split]
        counts = f"{after['captions']:,}", _rate(before["any"]), _rate(after["any"]), f"{after['any']['captions']:,}"
        rows.append((printable(split), *counts))
    return rows


def _masks(audit: Audit) -> list[Row]:
    sides = [("in distribution", audit["masks"]["id"]), ("out of distribution", audit["masks"]["ood"])]
    sides += [(f"  {printable(name)}", block["ood"]) for name, block in audit["masks"]["splits"].items()]
    rows: list[Row] = [("", "captions", "with a mask", "masks a caption")]
    for name, block in sides:
        if block is not None:
            rows.append((name, f"{block['captions']:,}", percent(block["rate"]), f"{block['masks_per_caption']:.2f}"))
    return rows


def _classifier_heading(classifier: Mapping[str, Any]) -> str:
    trained, tested = printable(classifier["trained_on"]), printable(classifier["tested_on"])
    of = f"trained on {trained}, tested on {tested}" if trained != tested else trained
    return f"Accuracy of a bag-of-words classifier ({of}); mean over classes, the last over captions"


def _classifier(results: Mapping[str, Mapping[str, float | None]]) -> list[Row]:
    columns = [name for name in ("all", "many", "medium", "few", "samples") if results["masked"][name] is not None]
    return [
        ("reads", *columns),
        *((text, *(percent(results[key][name]) for name in columns)) for key, text in TRIALS.items()),
    ]


def _shortcuts(shortcuts: Mapping[str, Any]) -> list[Row]:
    splits = sorted({name for key in SHORTCUTS for name in shortcuts[key]["splits"]})
    rows: list[Row] = [("", "AUROC", f"mean, {printable(shortcuts['id'])}", "mean, OOD", *map(printable, splits))]
    for key, text in SHORTCUTS.items():
        block = shortcuts[key]
        means = (f"{block[side]:.2f}" for side in ("id", "ood"))
        rows.append(
            (text, f"{block['auroc']:.3f}", *means, *(f"{block['splits'][name]['auroc']:.3f}" for name in splits))
        )
    return rows


def _over_masked(forms: Sequence[Mapping[str, Any]]) -> list[Row]:
    rows: list[Row] = [("form", "of class", "captions", "would stand anyway")]
    for item in forms[:_SHOWN]:
        name = printable(item["name"] or item["class_key"])
        rows.append((printable(item["form"]), name, f"{item['captions']:,}", percent(item["rate"])))
    return rows


def _worst(classes: Sequence[Mapping[str, Any]]) -> list[Row]:
    rows: list[Row] = [("", "captions", "leaking", "rate")]
    for item in classes[:_SHOWN]:
        name = printable(item["name"] or item["class_key"])
        rows.append((name, f"{item['captions']:,}", f"{item['leaking']:,}", percent(item["rate"])))
    return rows
