"""What the Hub asks of a data set card's front matter, as far as its documentation and its own cards show it."""

from __future__ import annotations

import re
from typing import Any

import yaml


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


LICENCES = _words("""
    apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigcode-openrail-m afl-3.0 artistic-2.0 bsl-1.0
    bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0
    cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0
    cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0 cdla-permissive-2.0 wtfpl
    ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 isc
    lppl-1.3c ms-pl mpl-2.0 odc-by odbl openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl unknown other
""")
SIZES = _words("n<1K 1K<n<10K 10K<n<100K 100K<n<1M 1M<n<10M 10M<n<100M 100M<n<1B 1B<n<10B 10B<n<100B 100B<n<1T n>1T")
CREATORS = _words("no-annotation crowdsourced expert-generated machine-generated found other")
TASKS = _words(
    "image-classification image-to-text zero-shot-image-classification text-classification image-feature-extraction "
    "image-text-to-text visual-question-answering other"
)
_SOURCE = re.compile(r"original|extended(\|[\w.\-]+)?")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z]+)?|code|multilingual")
_BLOCK = re.compile(r"^(\s*---(?:\r\n|\r|\n))([\S\s]*?)((?:\r\n|\r|\n)---[ \t]*(\r\n|\n|$))")
_LONGEST = {"pretty_name": 100, "tags": 100}


def problems(content: str, kind: str) -> tuple[list[str], list[str]]:
    """Errors and warnings of a card, as the Hub's validate-yaml answers them."""
    block = _BLOCK.search(content)
    if block is None:
        return [], ["empty or missing yaml metadata in repo card"]
    try:
        front = yaml.safe_load(block.group(2))
    except yaml.YAMLError as error:
        return [f"invalid YAML: {error}"], []
    if not isinstance(front, dict):
        return ["the metadata must be a mapping"], []
    return (list(_dataset(front)) if kind == "dataset" else []), []


def _dataset(front: dict[str, Any]) -> Any:
    for key, known in (
        ("license", LICENCES), ("size_categories", SIZES), ("task_categories", TASKS),
        ("annotations_creators", CREATORS), ("language_creators", CREATORS),
        ("multilinguality", _words("monolingual multilingual translation")),
    ):  # fmt: skip
        for value in _list(front, key):
            if value not in known:
                yield f'"{key}" holds {value!r}, which is not one of the known values'
    for key, pattern in (("source_datasets", _SOURCE), ("language", _LANGUAGE)):
        for value in _list(front, key):
            if not isinstance(value, str) or not pattern.fullmatch(value):
                yield f'"{key}" holds {value!r}, which does not match {pattern.pattern}'
    for key in ("pretty_name", "license_name", "license_link"):
        if key in front and not isinstance(front[key], str):
            yield f'"{key}" must be a string'
    for key, most in _LONGEST.items():
        if any(len(str(value)) > most for value in _list(front, key)):
            yield f'"{key}" is longer than {most} characters'
    if not all(isinstance(value, str) for value in _list(front, "tags")):
        yield '"tags" must hold strings'
    configs = _list(front, "configs")
    names = [config.get("config_name") for config in configs]
    if len(set(names)) != len(names) or not all(
        isinstance(name, str) and re.fullmatch(r"[\w.\-]+", name) for name in names
    ):
        yield '"configs" must have unique, plain config_name'
    if sum(bool(config.get("default")) for config in configs) > 1:
        yield '"configs" has more than one default'
    for config in configs:
        for file in config.get("data_files", []):
            if not isinstance(file, dict) or not re.fullmatch(r"\w+(\.\w+)*", str(file.get("split"))):
                yield '"configs[].data_files" must hold split and path, split a plain word'
    for entry in _list(front, "dataset_info"):
        if entry.get("config_name") not in names:
            yield f'"dataset_info" names the config {entry.get("config_name")!r}, which "configs" does not have'
        for split in entry.get("splits", []):
            if not all(isinstance(split.get(key), int) for key in ("num_bytes", "num_examples")):
                yield '"dataset_info[].splits" must have num_bytes and num_examples as numbers'


def _list(front: dict[str, Any], key: str) -> list[Any]:
    value = front.get(key, [])
    return value if isinstance(value, list) else [value]
