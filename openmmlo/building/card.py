"""The manifest of a built data set comes in, its README.md goes out: what it holds, how it was made, how to load it.

The front matter gives ``datasets`` and the Hub's viewer two configs over the same parquet files, ``masked`` and
``raw``, that differ by their columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from openmmlo.building.schema import COLUMNS, CONFIGS, config_columns
from openmmlo.records import DatasetInfo, canonical_json

DEFAULT_LICENCE = "cc-by-nc-sa-4.0"
"""For captions of InstructBLIP, whose training data is CC-BY-NC; image licences are their publishers' to give."""

FREE_CAPTIONERS = frozenset({"scene"})
"""Captioners whose captions carry no model's terms: the data set then has the licence of its images."""

SUPPLIED_CAPTIONERS = frozenset({"existing"})
"""Captioners that hand on what the user has; who wrote it, and under which licence, only the user knows."""

HUB_LICENCES = frozenset(
    {"apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0"}
)

PAPER = """@inproceedings{yang2025adapting,
  title     = {Adapting Multi-modal Large Language Model to Concept Drift From Pre-training Onwards},
  author    = {Yang, Xiaoyu and Lu, Jie and Yu, En},
  booktitle = {International Conference on Learning Representations (ICLR)},
  year      = {2025},
  url       = {https://openreview.net/forum?id=b20VK2GnSs}
}"""

_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))

_ABOUT = {
    "sample_id": "the same for every folder layout",
    "image": "the original bytes, not recompressed",
    "label": "class in label order; -1 is out of distribution",
    "class_key": "the class whatever the label order; empty where it is not known",
    "caption": "the caption as written",
    "masked_caption": "the caption with its class's names behind `[mask]`",
    "spans": "where the mask is: (start, end) characters of the caption as written",
    "path": "where the image lies in its source",
    "sha256": "of the image's bytes",
    "width": "pixels",
    "height": "pixels",
}


def render_card(manifest: Mapping[str, Any], info: DatasetInfo) -> str:
    """The README.md of a built data set: YAML front matter, then a description in Markdown.

    Whatever comes from class tables, captioners or lists is quoted or escaped; it can neither break the front matter
    nor add markup.
    """
    # Readers of the front matter split it at every Unicode line break, so one name that holds such a thing puts all
    # names in ASCII escapes.
    plain = all(item.name.isprintable() for item in info.classes)
    front = yaml.safe_dump(_front_matter(manifest, info), sort_keys=False, allow_unicode=plain, width=2**31)
    return f"---\n{front}---\n\n{_body(manifest, info)}"


def hub_split(split: str) -> str:
    """A split's name as ``datasets`` takes it: letters, digits and underscores ("near-ood" becomes "near_ood")."""
    return re.sub(r"\W", "_", split)


def _front_matter(manifest: Mapping[str, Any], info: DatasetInfo) -> dict[str, Any]:
    splits = _written_splits(manifest)
    rows = sum(manifest["splits"][split]["rows"] for split in splits)
    return {
        "license": _licence(manifest, info),
        "language": ["en"],
        "pretty_name": f"OpenMMlo {info.name}",
        "size_categories": [next((name for limit, name in _SIZES if rows < limit), "10M<n<100M")],
        "task_categories": ["image-classification", "image-to-text"],
        "annotations_creators": ["machine-generated"],
        "source_datasets": ["original" if _is_free(manifest) else f"extended|other-{info.name}"],
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


def _dataset_info(config: str, manifest: Mapping[str, Any], info: DatasetInfo) -> dict[str, Any]:
    sizes = {split: sum(file["bytes"] for file in _files(manifest, split)) for split in _written_splits(manifest)}
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


def _written_splits(manifest: Mapping[str, Any]) -> list[str]:
    """Splits with at least one row: datasets refuses to load one without."""
    return [split for split, entry in manifest["splits"].items() if entry["rows"] and _files(manifest, split)]


def _licence(manifest: Mapping[str, Any], info: DatasetInfo) -> str:
    if _is_supplied(manifest):
        return "unknown"
    own = info.licence.strip().lower()
    return own if _is_free(manifest) and own in HUB_LICENCES else DEFAULT_LICENCE


def _is_free(manifest: Mapping[str, Any]) -> bool:
    return manifest["captioner"].get("captioner") in FREE_CAPTIONERS


def _is_supplied(manifest: Mapping[str, Any]) -> bool:
    return manifest["captioner"].get("captioner") in SUPPLIED_CAPTIONERS


def _body(manifest: Mapping[str, Any], info: DatasetInfo) -> str:
    sections = [
        f"# OpenMMlo: {_text(info.name)}",
        "Images of a long-tailed collection, each with a caption that describes it at length, and with a masked copy "
        "of the caption in which the names of the image's own class stand behind `[mask]`.",
        "## What it holds",
        _split_table(manifest),
        _class_lines(manifest),
        "## How to load it",
        _loading(manifest),
        "## How it was made",
        _making(manifest),
        "## Licence and limits",
        _limits(manifest, info),
        "## Citation",
        "Cite the paper that introduced OpenMMlo, and the publication of the images.",
        _code(PAPER, "bibtex"),
    ]
    if info.citation:
        sections.append(_code(info.citation))
    return "\n\n".join(section for section in sections if section) + "\n"


def _split_table(manifest: Mapping[str, Any]) -> str:
    rows = []
    for split, entry in manifest["splits"].items():
        errors = ", ".join(f"{count:,} {_text(status)}" for status, count in sorted(entry["errors"].items()))
        share = f"{entry['masked_rows'] / entry['rows']:.1%}" if entry["rows"] else "–"
        rows.append((_text(split), f"{entry['planned']:,}", f"{entry['rows']:,}", errors or "none", share))
    return _table(("split", "listed", "rows", "failed", "captions with a mask"), rows)


def _class_lines(manifest: Mapping[str, Any]) -> str:
    classes = manifest["classes"]
    lines = [f"{classes['count']:,} classes."]
    if "train_total" in classes:
        lines.append(
            f"The training list holds {classes['train_total']:,} images, {classes['train_max']:,} in the largest class "
            f"and {classes['train_min']:,} in the smallest."
        )
    if "shot_groups" in classes:
        groups = classes["shot_groups"]
        lines.append(
            f"By training images: {groups['many']:,} many-shot classes (over 100), {groups['medium']:,} medium-shot "
            f"(20 to 100), {groups['few']:,} few-shot (under 20)."
        )
    lines.append("`class_counts.csv` has the rows of every class, `word_counts.csv` the frequency of every word.")
    return " ".join(lines)


def _loading(manifest: Mapping[str, Any]) -> str:
    columns = [(f"`{name}`", ", ".join(_configs_with(name, manifest)), about) for name, about in _ABOUT.items()]
    code = 'from datasets import load_dataset\n\ndata = load_dataset("PATH_OR_OWNER/NAME", "masked")  # or "raw"'
    return "\n\n".join(
        (
            _code(code, "python"),
            "Both configs read the same files and differ in their columns.",
            _table(("column", "configs", "what it is"), [row for row in columns if row[1]]),
        )
    )


def _configs_with(column: str, manifest: Mapping[str, Any]) -> list[str]:
    return [config for config in CONFIGS if column in config_columns(config, manifest["with_images"])]


def _making(manifest: Mapping[str, Any]) -> str:
    source, captioner, masking = manifest["source"], dict(manifest["captioner"]), manifest["masking"]
    prompt = captioner.pop("prompt", None)
    facts = [
        ("source", f"{_text(source['name'])}, version {_text(source['version'])}"),
        *(
            (_text(f"captioner: {key}" if key != "captioner" else key), _value(value))
            for key, value in captioner.items()
        ),
        ("mask level", _text(masking["level"])),
        ("mask lexicon (SHA-256)", _text(masking["lexicon_hash"])),
        ("label map (SHA-256)", _text(source["label_map_hash"])),
        *(
            (f"list of {_text(split)} (SHA-256)", _text(entry["list_hash"]))
            for split, entry in manifest["splits"].items()
        ),
        ("fingerprint of the build", _text(manifest["fingerprint"])),
        ("openmmlo", _text(manifest["openmmlo"])),
        *(
            (_text(name), _value(value))
            for name, value in sorted(manifest.get("versions", {}).items())
            if name != "openmmlo"
        ),
    ]
    parts = [
        "Built with openmmlo: every listed image was decoded, hashed and captioned; names were masked by a lexicon "
        "frozen beforehand, which `lexicon.json` holds."
    ]
    if isinstance(prompt, str) and prompt:
        parts += ["Prompt:", _code(prompt)]
    parts.append(_table(("", ""), facts))
    return "\n\n".join(parts)


def _limits(manifest: Mapping[str, Any], info: DatasetInfo) -> str:
    licence = _licence(manifest, info)
    lines = [f"This data set (captions, masks, labels): {licence}. Images: {_text(info.licence) or 'not stated'}."]
    if licence == DEFAULT_LICENCE:
        lines[0] += (
            " InstructBLIP, the captioner of the paper, was trained on data under CC-BY-NC; its captions are for "
            "research. The licence of an image is its publisher's to give."
        )
    if not manifest["with_images"]:
        lines.append(
            "The images are not part of it: `path` and `sha256` say which file of the source each row is about."
        )
    if _is_supplied(manifest):
        lines.append("Captions were supplied by whoever built this data set; their licence is theirs to state.")
    elif not _is_free(manifest):
        lines.append("Captions were written by a model that saw the image, and may be wrong.")
    lines += [
        "Masking hides the names of the image's own class and their inflections; a broader word, a part or a habitat "
        "may still give the class away, so results that read captions should stand beside results on images and on "
        "captions alone.",
        "Captions with label -1 have the names of all in-distribution classes masked, and those of their own class "
        "where it is known.",
    ]
    lines += [_text(note) for note in manifest["source"].get("notes", info.notes)]
    if homepage := manifest["source"].get("homepage", info.homepage):
        lines.append(f"Source: {_text(homepage)}")
    return "\n".join(f"- {line}" for line in lines)


def _value(value: object) -> str:
    return _text(value if isinstance(value, str) else canonical_json(value))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _text(value: object) -> str:
    """Foreign text as one line of Markdown that means itself: nothing in it is markup, HTML, a link or a new cell."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in str(value)).split())
    return re.sub(r"[\\`*_\[\]|~$<>&]", lambda found: _escape(found.group()), line)


def _escape(character: str) -> str:
    return {"<": "&lt;", ">": "&gt;", "&": "&amp;"}.get(character, f"\\{character}")


def _code(text: str, language: str = "") -> str:
    """A code block whose fence is longer than any run of backticks in it."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"
