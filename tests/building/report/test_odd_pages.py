"""Reports of hostile data sets, and of measures that another version wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hand_measures import measures
from pictured_sets import Pictured, write_pictured, zoo
from read_pages import Page, drawn
from stubs import jpeg

from openmmlo.data import BuiltDataset
from openmmlo.pages.page import as_json
from openmmlo.records import ClassInfo, DatasetInfo

HOSTILE = (
    "</script><img src=x onerror=alert(1)>",
    "<!-- <script>",
    "{{7*7}}",
    "{% raw %}",
    "\u2028\u2029\u202e\u0000\u0007",
    "ع" * 40,
    "x" * 300,
    "👩‍👩‍👧‍👦 é",
    "'\"`&amp;&lt;",
    "]]>",
    "=HYPERLINK(1)",
    "__proto__",
)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> BuiltDataset:
    info = DatasetInfo(
        HOSTILE[0],
        HOSTILE[2],
        HOSTILE[0],
        tuple(ClassInfo(f"{text} key", text) for text in HOSTILE),
        tuple(range(1, 1 + len(HOSTILE))),
        homepage=f"javascript:{HOSTILE[0]}",
        citation=HOSTILE[0],
        notes=HOSTILE,
    )
    rows = (
        Pictured(f"{text}/{place}", label, f"{text} key", f"{text} beside {text}.", jpeg(label, 30, 30), (text,))
        for label, text in enumerate(HOSTILE)
        for place in range(3)
    )
    errors = [
        {"sample_id": text, "split": "train", "class_key": text, "status": text[:40], "reason": text}
        for text in HOSTILE
    ]
    captioner = {"captioner": HOSTILE[0], "prompt": HOSTILE[0], HOSTILE[0]: HOSTILE}
    folder = tmp_path_factory.mktemp("hostile") / "set"
    return write_pictured(folder, info, {"train": rows}, errors=errors, captioner=captioner)


def hostile_measures() -> dict[str, dict[str, Any] | None]:
    """Every text of the measures replaced, and every key that is not of their shape."""

    def replaced(value: Any, count: list[int]) -> Any:
        if isinstance(value, str):
            count[0] += 1
            return HOSTILE[count[0] % len(HOSTILE)]
        if isinstance(value, list):
            return [replaced(item, count) for item in value]
        if isinstance(value, dict):
            return {key: replaced(item, count) for key, item in value.items()} | {
                HOSTILE[0]: {"rate": 0.5, "captions": 1}
            }
        return value

    return {name: replaced(value, [0]) for name, value in measures().items()}


def test_hostile_text_stays_text(hostile: BuiltDataset, tmp_path: Path) -> None:
    page = drawn(hostile, tmp_path / "page.html", hostile_measures())
    assert len(page.raw["script"]) == 2
    assert not [tag for tag, _ in page.elements if tag == "img"]
    assert not [name for _, found in page.elements for name in found if name.startswith("on")]
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "{{7*7}}" in text
    assert "<img src=x" not in text
    block = page.raw["script"][0]
    assert not set("<>&\u2028\u2029") & set(block)
    assert [item[1] for item in page.data["classes"]] == list(HOSTILE)


def test_json_for_the_page_reads_back() -> None:
    value = {"a": ["</script>", "\u2028\u2029", "<!--", "é&😀", "\\u003c", None, 1.5]}
    assert json.loads(as_json(value)) == value
    assert not set("<>&\u2028\u2029") & set(as_json(value))


def paths(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in entries:
        yield (*before, key)
        if len(before) < 4 and key not in ("rank_frequency", "top"):
            yield from paths(item, (*before, key))


@pytest.mark.slow
def test_a_measure_that_lacks_something_is_drawn_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one written by another version might: each entry in turn is null, or not there."""
    from openmmlo.building.report import page as module
    from openmmlo.building.report.gallery import Gallery

    dataset = zoo(tmp_path / "zoo")
    whole = measures()
    environment = module._environment()
    monkeypatch.setattr(module, "_environment", lambda: environment)
    empty = Gallery(dataset.splits, [], [], False, None, {})
    views = module._views(dataset, whole)
    made = {"stats": ("head", "tail", "words"), "audit": ("head", "audit"), "quality": ("quality",)}
    count = 0
    for path in paths(whole):
        for gone in (True, False):
            changed = json.loads(json.dumps(whole))
            parent = changed
            for key in path[:-1]:
                parent = parent[key]
            if gone:
                del parent[path[-1]]
            else:
                parent[path[-1]] = None
            partial = module._views(dataset, changed)
            text = module._page(dataset, {**views, **{name: partial[name] for name in made[path[0]]}}, empty).decode()
            shown = Page(text)
            assert not [section for section in ("audit", "words", "quality") if "None" in shown.text(section)], path
            count += 1
    assert count > 300
