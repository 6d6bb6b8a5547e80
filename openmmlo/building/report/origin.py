"""The manifest and the error rows come in; what failed, how the data set was made and who may use it go out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from openmmlo.building.card import DEFAULT_LICENCE, FREE_CAPTIONERS, SUPPLIED_CAPTIONERS
from openmmlo.data import BuiltDataset
from openmmlo.records import Status, canonical_json

STATUSES = {
    Status.MISSING: "the list names it, no file was there",
    Status.LINK: "the file is a link that leaves the images’ root",
    Status.NAME: "its name cannot be stored as text",
    Status.UNREADABLE: "not an image, or a damaged one",
    Status.TOO_LARGE: "more pixels than were allowed, or than memory could hold",
    Status.CHANGED: "the file changed between captioning and writing",
    Status.CAPTIONER: "the captioner failed on it",
    Status.NO_CAPTION: "the captioner gave no caption",
}

_EXAMPLES = 5


def failures(dataset: BuiltDataset) -> list[dict[str, Any]]:
    """Error rows by status, the most frequent first, each with its first few; the file is read line by line."""
    found: dict[str, dict[str, Any]] = {}
    for row in _error_rows(dataset.folder / "errors.jsonl"):
        status = str(row.get("status", "unknown"))
        entry = found.setdefault(status, {"status": status, "count": 0, "meaning": "", "splits": {}, "examples": []})
        entry["count"] += 1
        split = str(row.get("split", ""))
        entry["splits"][split] = entry["splits"].get(split, 0) + 1
        if len(entry["examples"]) < _EXAMPLES:
            keys = ("sample_id", "split", "class_key", "reason")
            entry["examples"].append({key: str(row.get(key, "")) for key in keys})
    for status, meaning in STATUSES.items():
        if status.value in found:
            found[status.value]["meaning"] = meaning
    return sorted(found.values(), key=lambda entry: (-entry["count"], entry["status"]))


def _error_rows(path: Path) -> Any:
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for text in file:
            try:
                row = json.loads(text)
            except ValueError:
                row = {"status": "unknown", "reason": "a line of errors.jsonl that is no JSON"}
            if isinstance(row, dict):
                yield row


def making(dataset: BuiltDataset) -> dict[str, Any]:
    """Captioner, prompt, masks, hashes and versions; no timings, so that two builds of one plan read the same."""
    manifest = dataset.manifest
    captioner = dict(manifest["captioner"])
    prompt = captioner.pop("prompt", None)
    source, masking = manifest["source"], manifest["masking"]
    return {
        "prompt": prompt if isinstance(prompt, str) and prompt else None,
        "tables": [
            ("Captioner", [(str(key), _value(value)) for key, value in captioner.items()]),
            ("Masks", [(str(key), _value(value)) for key, value in masking.items() if key != "lexicon_hash"]),
            ("Source", [("name", str(source["name"])), ("version", str(source["version"]))]),
            (
                "Hashes (SHA-256)",
                [
                    ("content", dataset.digest),
                    ("fingerprint of the build", str(manifest["fingerprint"])),
                    ("mask lexicon", str(masking["lexicon_hash"])),
                    ("label map", str(source["label_map_hash"])),
                    *((f"list of {split}", str(entry["list_hash"])) for split, entry in manifest["splits"].items()),
                ],
            ),
            (
                "Versions",
                [
                    ("openmmlo", str(manifest["openmmlo"])),
                    *(
                        (str(name), str(version))
                        for name, version in sorted(manifest.get("versions", {}).items())
                        if name != "openmmlo"
                    ),
                ],
            ),
        ],
        "files": len(manifest["files"]),
        "bytes": sum(file["bytes"] for file in manifest["files"]),
    }


def _value(value: object) -> str:
    return value if isinstance(value, str) else canonical_json(value)


def licence(dataset: BuiltDataset) -> dict[str, Any]:
    """Whose terms apply to the images and to the captions, and what a user should keep in mind."""
    info, manifest = dataset.info, dataset.manifest
    return {
        "images": info.licence or "not stated",
        "captions": _caption_terms(manifest["captioner"], info.licence),
        "notes": [*info.notes],
        "homepage": info.homepage,
        "citation": info.citation,
        "with_images": bool(manifest["with_images"]),
    }


def _caption_terms(captioner: Mapping[str, Any], images: str) -> str:
    name = captioner.get("captioner")
    if name in FREE_CAPTIONERS:
        return f"Written by code, no model’s terms apply: {images or 'not stated'}."
    if name in SUPPLIED_CAPTIONERS:
        return "Supplied by whoever built this data set; their licence is theirs to state."
    return (
        f"Written by a model that saw the image; they may be wrong. Unless stated otherwise: {DEFAULT_LICENCE}. "
        "InstructBLIP, the captioner of the paper, was trained on data under CC-BY-NC, so that its captions are for "
        "research."
    )
