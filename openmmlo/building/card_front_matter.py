"""The YAML at the head of a data set's card: what ``datasets``, the Hub's viewer and its search read.

Two configs over the same parquet files, ``masked`` and ``raw``, differ by their columns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from openmmlo.building.schema import COLUMNS, CONFIGS, config_columns
from openmmlo.errors import PublishRefused
from openmmlo.records import DatasetInfo

DEFAULT_LICENCE = "cc-by-nc-sa-4.0"
"""For captions of InstructBLIP, whose training data is CC-BY-NC; image licences are their publishers' to give."""

FREE_CAPTIONERS = frozenset({"scene"})
"""Captioners whose captions carry no model's terms: the data set then has the licence of its images."""

SUPPLIED_CAPTIONERS = frozenset({"existing"})
"""Captioners that hand on what the user has; who wrote it, in what language and under which licence, only they know."""

HUB_LICENCES = frozenset(
    {"apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0"}
)

_SIZES = (
    (10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
)  # fmt: skip
_LONGEST_NAME = 80


def front_matter(manifest: Mapping[str, Any], info: DatasetInfo) -> dict[str, Any]:
    """The metadata of a card, as plain values."""
    splits = written_splits(manifest)
    rows = sum(manifest["splits"][split]["rows"] for split in splits)
    supplied = is_supplied(manifest)
    creators = "found" if supplied else "machine-generated"
    return {
        "license": licence(manifest, info),
        **({} if supplied else {"language": ["en"], "multilinguality": ["monolingual"]}),
        "pretty_name": f"OpenMMlo {_plain(info.name)}",
        "size_categories": [next((name for limit, name in _SIZES if rows < limit), "100M<n<1B")],
        "task_categories": ["image-classification", "image-to-text", "zero-shot-image-classification"],
        "annotations_creators": [creators],
        "language_creators": [creators],
        "source_datasets": ["original" if is_free(manifest) else f"extended|other-{_identifier(info.name)}"],
        "tags": ["long-tailed-recognition", "out-of-distribution-detection", "image-captioning", "openmmlo"],
        "configs": [
            {
                "config_name": config,
                **({"default": True} if place == 0 else {}),
                "data_files": [{"split": hub_split(split), "path": f"data/{split}-[0-9]*.parquet"} for split in splits],
                "columns": config_columns(config, manifest["with_images"]),
            }
            for place, config in enumerate(CONFIGS)
        ],
        "dataset_info": [_dataset_info(config, manifest, info) for config in CONFIGS],
    }


def front_matter_yaml(manifest: Mapping[str, Any], info: DatasetInfo) -> str:
    """The metadata as YAML; no name in it can break out."""
    # Readers of the front matter split it at every Unicode line break, so one name that holds such a thing puts all
    # names in ASCII escapes.
    plain = all(item.name.isprintable() for item in info.classes)
    return yaml.safe_dump(front_matter(manifest, info), sort_keys=False, allow_unicode=plain, width=2**31)


def refuse_invalid_card(card: str) -> None:
    """Read a card as the Hub's client does. Raises PublishRefused where that cannot be, or something is missing."""
    from huggingface_hub import DatasetCard

    try:
        front: dict[str, Any] = DatasetCard(card).data.to_dict()  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, yaml.YAMLError) as error:
        raise PublishRefused(f"The card's front matter cannot be read ({error}). Build again; then push.") from error
    wanted = ("license", "pretty_name", "size_categories", "task_categories", "tags", "configs", "dataset_info")
    missing = [key for key in wanted if not front.get(key)]
    if missing:
        raise PublishRefused(f"The card's front matter lacks {', '.join(missing)}. Build again; then push.")


def hub_split(split: str) -> str:
    """A split's name as ``datasets`` takes it: letters, digits and underscores ("near-ood" becomes "near_ood")."""
    return re.sub(r"\W", "_", split)


def written_splits(manifest: Mapping[str, Any]) -> list[str]:
    """Splits with at least one row: datasets refuses to load one without."""
    return [split for split, entry in manifest["splits"].items() if entry["rows"] and _files(manifest, split)]


def licence(manifest: Mapping[str, Any], info: DatasetInfo) -> str:
    """The licence of captions, masks and labels, by the Hub's name for it."""
    if is_supplied(manifest):
        return "unknown"
    own = info.licence.strip().lower()
    return own if is_free(manifest) and own in HUB_LICENCES else DEFAULT_LICENCE


def is_free(manifest: Mapping[str, Any]) -> bool:
    return manifest["captioner"].get("captioner") in FREE_CAPTIONERS


def is_supplied(manifest: Mapping[str, Any]) -> bool:
    return manifest["captioner"].get("captioner") in SUPPLIED_CAPTIONERS


def _dataset_info(config: str, manifest: Mapping[str, Any], info: DatasetInfo) -> dict[str, Any]:
    sizes = {split: sum(file["bytes"] for file in _files(manifest, split)) for split in written_splits(manifest)}
    return {
        "config_name": config,
        "features": [_yaml_feature(name, info) for name in config_columns(config, manifest["with_images"])],
        "splits": [
            {"name": hub_split(split), "num_bytes": size, "num_examples": manifest["splits"][split]["rows"]}
            for split, size in sizes.items()
        ],
        "download_size": sum(sizes.values()),
        "dataset_size": sum(sizes.values()),
    }


def _yaml_feature(name: str, info: DatasetInfo) -> dict[str, Any]:
    """One column as dataset cards write it."""
    if name == "image":
        return {"name": name, "dtype": "image"}
    if name == "label":
        names = {str(label): item.name for label, item in enumerate(info.classes)}
        return {"name": name, "dtype": {"class_label": {"names": names}}}
    if name == "spans":
        return {"name": name, "list": [{"name": end, "dtype": "int32"} for end in ("start", "end")]}
    return {"name": name, "dtype": str(COLUMNS[name])}


def _files(manifest: Mapping[str, Any], split: str) -> list[Mapping[str, Any]]:
    pattern = re.compile(rf"data/{re.escape(split)}-[0-9][^/]*\.parquet")
    return [file for file in manifest["files"] if pattern.fullmatch(file["path"])]


def _plain(name: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in name).split())[:_LONGEST_NAME]


def _identifier(name: str) -> str:
    return re.sub(r"[^\w.\-]+", "-", name, flags=re.ASCII).strip("-")[:_LONGEST_NAME] or "images"
