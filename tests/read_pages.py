"""What a browser would make of a report, read without one."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from openmmlo.building.report import write_report
from openmmlo.data import BuiltDataset

NO_MEASURES: dict[str, dict[str, Any] | None] = {"stats": None, "quality": None, "audit": None}


class Page(HTMLParser):
    """What a browser would make of the page: texts by section, elements with their attributes, scripts, styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[str] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.section = ""
        self.texts: dict[str, str] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        self.inside.append(tag)
        if tag in ("section", "header"):
            self.section = dict(attributes).get("id") or ""
        self.texts[self.section] = self.texts.get(self.section, "") + " "
        if tag in self.raw:
            self.raw[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        while self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self.inside and self.inside[-1] in self.raw:
            self.raw[self.inside[-1]][-1] += data
        else:
            self.texts[self.section] = self.texts.get(self.section, "") + data

    def text(self, section: str) -> str:
        return " ".join(self.texts[section].split())

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.raw["script"][0])
        return found


def drawn(
    dataset: BuiltDataset, to: Path, found: dict[str, dict[str, Any] | None] = NO_MEASURES, **options: Any
) -> Page:
    return Page(write_report(dataset, found, to, **options).read_text(encoding="utf-8"))
