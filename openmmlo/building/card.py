"""The manifest of a built data set comes in, its README.md goes out: what it holds, how it was made, what to trust.

Whatever comes from class tables, captioners, lists or measures is quoted or escaped; it can neither break the front
matter nor add markup.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openmmlo.building.card_front_matter import (
    DEFAULT_LICENCE,
    FREE_CAPTIONERS,
    SUPPLIED_CAPTIONERS,
    front_matter,
    front_matter_yaml,
    hub_split,
    is_free,
    is_supplied,
    licence,
    refuse_invalid_card,
)
from openmmlo.building.card_measures import Measures, measured
from openmmlo.building.schema import CONFIGS, config_columns
from openmmlo.markdown import PAPER, cell, code, table, text
from openmmlo.records import DatasetInfo

__all__ = [
    "DEFAULT_LICENCE", "FREE_CAPTIONERS", "SUPPLIED_CAPTIONERS", "front_matter", "hub_split", "refuse_invalid_card",
    "render_card",
]  # fmt: skip

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
_ABOUT_STRIPPED = {
    "image": "the original file without EXIF, XMP, comments and previews, pixel data untouched",
    "sha256": "of the image file in its source, before metadata was taken out",
}


def render_card(
    manifest: Mapping[str, Any], info: DatasetInfo, measures: Measures | None = None, repo: str | None = None
) -> str:
    """The README.md of a built data set: YAML front matter, then a description in Markdown.

    Args:
        measures: ``stats``, ``quality`` and ``audit`` -> what was measured; None where it was not.
        repo: ``owner/name`` on the Hub, where it is known.
    """
    return f"---\n{front_matter_yaml(manifest, info)}---\n\n{_body(manifest, info, measures or {}, repo)}"


def _body(manifest: Mapping[str, Any], info: DatasetInfo, measures: Measures, repo: str | None) -> str:
    sections = [
        f"# OpenMMlo: {text(info.name)}",
        "Images of a long-tailed collection, each with a caption that describes it at length, and with a masked copy "
        "of the caption in which the names of the image's own class stand behind `[mask]`.",
        "## What it holds",
        _split_table(manifest),
        _class_lines(manifest),
        "## How to load it",
        _loading(manifest, repo),
        "## What it is for",
        _bullets(
            "Research on recognition under long-tailed class frequencies and in an open world, with images, captions "
            "or both: training, evaluation, and the study of what captions give away.",
            "A caption is what a model or a person wrote about an image, not a fact about it. Nothing here is fit to "
            "identify people, or to decide about them.",
        ),
        "## How it was made",
        _making(manifest),
        "## What was measured",
        measured(measures),
        "## Biases and limits",
        _limits(manifest, info),
        "## Privacy",
        _privacy(manifest),
        "## Licence",
        _licences(manifest, info),
        "## Citation",
        "Cite the paper that introduced OpenMMlo, and the publication of the images.",
        code(PAPER, "bibtex"),
    ]
    if info.citation:
        sections.append(code(info.citation))
    return "\n\n".join(section for section in sections if section) + "\n"


def _split_table(manifest: Mapping[str, Any]) -> str:
    rows = []
    for split, entry in manifest["splits"].items():
        errors = ", ".join(f"{count:,} {text(status)}" for status, count in sorted(entry["errors"].items()))
        share = f"{entry['masked_rows'] / entry['rows']:.1%}" if entry["rows"] else "–"
        rows.append((text(split), f"{entry['planned']:,}", f"{entry['rows']:,}", errors or "none", share))
    return table(("split", "listed", "rows", "failed", "captions with a mask"), rows)


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
    lines.append(
        "`class_counts.csv` has the rows of every class, `word_counts.csv` the frequency of every word, `classes.json` "
        "names and synonyms, `errors.jsonl` every image that is missing and why."
    )
    return " ".join(lines)


def _loading(manifest: Mapping[str, Any], repo: str | None) -> str:
    about = _ABOUT | (_ABOUT_STRIPPED if manifest.get("images") == "stripped" else {})
    columns = [(f"`{name}`", ", ".join(_configs_with(name, manifest)), phrase) for name, phrase in about.items()]
    name = repo or "PATH_OR_OWNER/NAME"
    example = f'from datasets import load_dataset\n\ndata = load_dataset("{name}", "masked")  # or "raw"'
    return "\n\n".join(
        (
            code(example, "python"),
            "Both configs read the same files and differ in their columns. `openmmlo verify DIR` holds every row, hash "
            "and count against `manifest.json`.",
            table(("column", "configs", "what it is"), [row for row in columns if row[1]]),
        )
    )


def _configs_with(column: str, manifest: Mapping[str, Any]) -> list[str]:
    return [config for config in CONFIGS if column in config_columns(config, manifest["with_images"])]


def _making(manifest: Mapping[str, Any]) -> str:
    source, captioner, masking = manifest["source"], dict(manifest["captioner"]), manifest["masking"]
    prompt = captioner.pop("prompt", None)
    facts = [
        ("source", f"{text(source['name'])}, version {text(source['version'])}"),
        *((text(f"captioner: {key}" if key != "captioner" else key), cell(value)) for key, value in captioner.items()),
        ("mask level", text(masking["level"])),
        ("mask lexicon (SHA-256)", text(masking["lexicon_hash"])),
        ("label map (SHA-256)", text(source["label_map_hash"])),
        *(
            (f"list of {text(split)} (SHA-256)", text(entry["list_hash"]))
            for split, entry in manifest["splits"].items()
        ),
        ("fingerprint of the build", text(manifest["fingerprint"])),
        ("openmmlo", text(manifest["openmmlo"])),
        *(
            (text(name), cell(value))
            for name, value in sorted(manifest.get("versions", {}).items())
            if name != "openmmlo"
        ),
    ]
    parts = [
        "Built with openmmlo: every listed image was decoded, hashed and captioned; names were masked by a lexicon "
        "frozen beforehand, which `lexicon.json` holds."
    ]
    if isinstance(prompt, str) and prompt:
        parts += ["Prompt:", code(prompt)]
    parts.append(table(("", ""), facts))
    return "\n\n".join(parts)


def _limits(manifest: Mapping[str, Any], info: DatasetInfo) -> str:
    lines = []
    if not is_free(manifest) and not is_supplied(manifest):
        lines.append(
            "Captions were written by a model that saw the image, and may be wrong. They carry what the model learnt: "
            "its habits of naming frequent things, its errors on rare ones, its stereotypes of people and places."
        )
    if not is_free(manifest):
        lines.append(
            "Images were collected from the web by their publishers; some parts of the world, some people and some "
            "classes are shown far more than others. The long tail is kept on purpose."
        )
    lines += [
        "Masking hides the names of the image's own class and their inflections, at broader levels its head nouns and "
        "broader terms too; a part or a habitat may still give the class away, so results that read captions should "
        "stand beside results on images and on captions alone.",
        "Captions with label -1 have the names of all in-distribution classes masked, and those of their own class "
        "where it is known.",
    ]
    lines += [text(note) for note in manifest["source"].get("notes", info.notes)]
    return _bullets(*lines)


def _privacy(manifest: Mapping[str, Any]) -> str:
    lines = ["Keys, host names and paths of the machine that built it are not part of it."]
    if not manifest["with_images"]:
        lines.append("No image is part of it.")
    elif manifest.get("images") == "stripped":
        lines.append(
            "EXIF, GPS positions, XMP, comments and previews were taken out of the images without recompression; the "
            "orientation alone was kept."
        )
    else:
        lines.append("Images are the original files: what EXIF or GPS data they hold is still in them.")
    if not is_free(manifest):
        lines.append("Images may show people, who were not asked; captions may describe them.")
    return _bullets(*lines)


def _licences(manifest: Mapping[str, Any], info: DatasetInfo) -> str:
    own = licence(manifest, info)
    lines = [f"This data set (captions, masks, labels): {own}. Images: {text(info.licence) or 'not stated'}."]
    if own == DEFAULT_LICENCE:
        lines[0] += (
            " InstructBLIP, the captioner of the paper, was trained on data under CC-BY-NC; its captions are for "
            "research. The licence of an image is its publisher's to give."
        )
    if not manifest["with_images"]:
        lines.append(
            "The images are not part of it: `path` and `sha256` say which file of the source each row is about."
        )
    if is_supplied(manifest):
        lines.append("Captions were supplied by whoever built this data set; their licence is theirs to state.")
    if homepage := manifest["source"].get("homepage", info.homepage):
        lines.append(f"Source: {text(homepage)}")
    return _bullets(*lines)


def _bullets(*lines: str) -> str:
    return "\n".join(f"- {line}" for line in lines)
