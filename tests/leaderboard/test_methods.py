"""Methods: complete, linked, and a bibliography that can be read."""

from __future__ import annotations

import re

import pytest

from openmmlo.errors import UnknownName
from openmmlo.leaderboard.methods import FAMILIES, METHODS, Method, method

BASELINES = (
    "ce", "focal", "class-balanced", "ldam-drw", "logit-adjustment", "logit-adjustment-posthoc", "balanced-softmax",
    "lade", "t-vmf", "wcdas", "crt", "lws", "tau-norm", "ncm", "ce-class-aware", "ce-square-root", "supcon", "cider",
    "thp",
)  # fmt: skip
PAPERS = (
    "crt", "lws", "mislas", "balms", "lade", "ace", "ride", "paco", "ncl", "vit", "mae", "deit-iii", "livt", "thp",
    "clip-zero-shot", "clip-linear-probe", "clip-fine-tune", "lpt", "ballad", "decoder", "vl-ltr", "lift",
    "proxy-anchor", "ce-simclr", "csi", "ssd-plus", "knn-plus", "cider", "coop", "vpt", "dapt",
)  # fmt: skip


@pytest.mark.parametrize("key", sorted({*BASELINES, *PAPERS}))
def test_every_first_baseline_and_every_method_of_the_papers_tables_is_explained(key: str) -> None:
    assert METHODS[key].key == key


@pytest.mark.parametrize("item", METHODS.values(), ids=METHODS)
def test_an_entry_is_one_paragraph_with_a_paper_and_a_place_among_the_families(item: Method) -> None:
    assert 60 < len(item.text) < 600
    assert item.text.endswith(".")
    assert "\n" not in item.text
    assert "  " not in item.text
    assert item.family in FAMILIES
    assert re.fullmatch(r"https://[^\s]+", item.url)
    assert re.fullmatch(r"(https://github\.com/[^\s/]+/[^\s]+)?", item.code)
    assert 2010 <= item.year <= 2026
    assert item.authors
    assert all(" " in name for name in item.authors)


@pytest.mark.parametrize("item", METHODS.values(), ids=METHODS)
def test_the_bibliography_entry_parses_and_holds_the_papers_own_fields(item: Method) -> None:
    kind, key, body = re.fullmatch(r"@(\w+)\{([^,]+),\n(.*)\n\}\n", item.bibtex, re.DOTALL).groups()  # type: ignore[union-attr]
    fields = dict(re.findall(r"  (\w+) = \{(.*)\}(?:,|$)", body))
    assert key == item.key
    assert kind in {"inproceedings", "article", "book"}
    assert fields["title"] == f"{{{item.title}}}"
    assert fields["author"].split(" and ") == list(item.authors)
    assert fields["year"] == str(item.year)
    assert fields["url"] == item.url
    assert item.bibtex.count("{") == item.bibtex.count("}")


def test_an_arxiv_number_agrees_with_its_papers_year() -> None:
    """A paper stands on arXiv no later than the year after it appeared, and not more than three years before."""
    dated = [item for item in METHODS.values() if item.arxiv]
    assert len(dated) > 40
    for item in dated:
        posted = 2000 + int(item.arxiv[:2])
        assert posted - 1 <= item.year <= posted + 3, item.key


def test_methods_of_one_paper_cite_it_alike() -> None:
    by_url: dict[str, set[tuple[object, ...]]] = {}
    for item in METHODS.values():
        by_url.setdefault(item.url, set()).add((item.title, item.authors, item.venue, item.year))
    assert all(len(found) == 1 for found in by_url.values())
    assert METHODS["crt"].url == METHODS["ncm"].url


def test_an_unknown_method_is_named_with_the_nearest() -> None:
    assert method("focal").name == "Focal loss"
    with pytest.raises(UnknownName, match="'balanced-softmax'"):
        method("balanced_softmax")
