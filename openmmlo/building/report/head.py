"""The manifest and the audit come in; what stands at the head of the page goes out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openmmlo.data import BuiltDataset
from openmmlo.pages.wording import counted, number, part, percent
from openmmlo.records import shot_group

Figure = dict[str, str]


def head(dataset: BuiltDataset, audit: Mapping[str, Any] | None) -> dict[str, Any]:
    """Name, what it is in a sentence or two, its numbers, its making at a glance and its splits."""
    manifest = dataset.manifest
    return {
        "name": dataset.info.name,
        "lede": _lede(dataset),
        "figures": _figures(dataset, audit),
        "steps": _steps(manifest),
        "splits": [_split(dataset, split) for split in dataset.splits],
    }


def _lede(dataset: BuiltDataset) -> str:
    counts = [count for count in dataset.class_counts if count]
    rows = sum(dataset.rows(split) for split in dataset.splits)
    text = f"{counted(rows, 'captioned image')} of {counted(len(dataset.info.classes), 'class', 'classes')}"
    if counts and max(counts) > min(counts):
        text += f", whose training images run from {max(counts):,} in the largest class down to {min(counts):,}"
    return f"{text}. In every caption the words that name the image’s own class stand behind"


def _figures(dataset: BuiltDataset, audit: Mapping[str, Any] | None) -> list[Figure]:
    splits = dataset.manifest["splits"]
    counts = [count for count in dataset.class_counts if count]
    rows = sum(entry["rows"] for entry in splits.values())
    masked = sum(entry["masked_rows"] for entry in splits.values())
    figures = [
        {"value": number(rows), "label": "rows", "note": f"in {counted(len(splits), 'split')}"},
        {"value": number(len(dataset.info.classes)), "label": "classes", "note": _groups(dataset)},
    ]
    if counts:
        factor = max(counts) / min(counts)
        note = f"{max(counts):,} training images to {min(counts):,}"
        figures.append({"value": number(factor), "label": "imbalance factor", "note": note})
    if rows:
        figures.append({"value": percent(masked / rows), "label": "of captions masked", "note": number(masked)})
    before, after = _any(audit, "unmasked"), _any(audit, "leaks")
    if after is not None:
        note = f"{percent(before)} as written" if before is not None else ""
        figures.append({"value": percent(after), "label": "still name their class", "note": note})
    failed = sum(sum(entry["errors"].values()) for entry in splits.values())
    figures.append({"value": number(failed), "label": "failed images", "note": "of those listed"})
    return figures


def _any(audit: Mapping[str, Any] | None, block: str) -> Any:
    return part(audit, block, "all", "any", "rate")


def _groups(dataset: BuiltDataset) -> str:
    if not any(dataset.class_counts):
        return ""
    groups = [shot_group(count) for count in dataset.class_counts]
    return ", ".join(f"{groups.count(name):,} {name}" for name in ("many", "medium", "few"))


def _steps(manifest: Mapping[str, Any]) -> list[dict[str, str]]:
    """How it was made, in the order of the making."""
    source, captioner, masking = manifest["source"], manifest["captioner"], manifest["masking"]
    model = str(captioner.get("model", ""))
    kinds = len(manifest["splits"])
    return [
        {"what": "images", "name": str(source["name"]), "note": f"version {source['version']}, {kinds} splits"},
        {"what": "captions", "name": str(captioner.get("captioner", "")), "note": model},
        {"what": "masks", "name": str(masking["level"]), "note": f"lexicon {str(masking['lexicon_hash'])[:12]}"},
        {"what": "build", "name": f"openmmlo {manifest['openmmlo']}", "note": str(manifest["fingerprint"])[:12]},
    ]


def _split(dataset: BuiltDataset, split: str) -> dict[str, Any]:
    entry = dataset.manifest["splits"][split]
    rows = entry["rows"]
    return {
        "name": split,
        "planned": entry["planned"],
        "rows": rows,
        "failed": sum(entry["errors"].values()),
        "masked": entry["masked_rows"] / rows if rows else None,
        "ood": dataset.is_ood(split),
    }
