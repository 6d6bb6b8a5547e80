"""Numbers in a model card, held to the Hub's own reader; what else the card says stays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest
import yaml
from evaluated import evaluated
from hub_card_rules import problems
from huggingface_hub import ModelCard
from made_entries import block, made

from openmmlo.errors import DataError, SubmissionRefused
from openmmlo.evaluate.result import write_result
from openmmlo.leaderboard.board import Board
from openmmlo.leaderboard.hub import Origin
from openmmlo.leaderboard.model_card import measured, of_entry, write_card


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    value, _ = evaluated(detectors=("msp", "energy", "thp-knn"))
    folder = tmp_path_factory.mktemp("result")
    write_result(folder, value)
    return folder, value


def read(path: Path) -> Any:
    """The card as the Hub's client reads it, and within the Hub's rules."""
    content = path.read_text(encoding="utf-8")
    assert problems(content, "model") == ([], [])
    return ModelCard(content).data  # type: ignore[no-untyped-call]


def values(path: Path) -> dict[tuple[str, str, str], float]:
    return {(e.dataset_split, e.dataset_config, e.metric_name): e.metric_value for e in read(path).eval_results}


def test_the_hub_reads_what_was_measured(result: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, value = result
    done = write_card(measured(str(folder), None), tmp_path / "README.md")
    found = values(tmp_path / "README.md")
    test = value["scored"]["classification"]["test"]
    assert found["test", "image", "top-1"] == test["top1_samples"]
    assert found["test", "image", "top-1, few-shot classes"] == test["groups"]["few"]
    near = value["scored"]["ood"]["near-open"]["detectors"]["energy"]["auroc"]
    assert found["near-open", "image", "AUROC of energy"] == near
    assert (done.added, done.replaced) == (len(found), 0)
    assert set(read(tmp_path / "README.md").metrics) == {"accuracy", "roc_auc"}
    assert {e.dataset_type for e in read(tmp_path / "README.md").eval_results} == {value["benchmark"]["name"]}


CARD = """---
license: mit
metrics:
- bleu
model-index:
- name: mine
  results:
  - task:
      type: image-classification
    dataset:
      type: beans
      name: Beans
    metrics:
    - type: accuracy
      value: 0.9
      verified: true
library_name: timm
---
# Mine

--- not the end

Text with ümläuts.
"""


def test_all_else_stays(result: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text(CARD, encoding="utf-8")
    first = write_card(measured(str(result[0]), None), path)
    data = read(path)
    assert (data.license, data.library_name, data.model_name) == ("mit", "timm", "mine")
    assert data.metrics == ["bleu", "accuracy", "roc_auc"]
    (beans,) = [item for item in data.eval_results if item.dataset_type == "beans"]
    assert (beans.metric_value, beans.verified) == (0.9, True)
    assert path.read_text(encoding="utf-8").endswith(CARD.split("---\n", 2)[2])
    before = path.read_bytes()
    again = write_card(measured(str(result[0]), None), path)
    assert (again.added, again.replaced) == (0, first.added)
    assert path.read_bytes() == before


def test_a_newer_number_replaces_the_older(result: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    numbers = measured(str(result[0]), None)
    write_card(numbers, path)
    better = replace(numbers, results=tuple(replace(item, value=0.5, version=2) for item in numbers.results[:1]))
    done = write_card(better, path)
    assert (done.added, done.replaced) == (0, 1)
    found = values(path)
    assert found["test", "image", "top-1"] == 0.5
    assert len(found) == len(numbers.results)


class TestEntry:
    def test_means_over_seeds_come_from_the_mark(self, tmp_path: Path) -> None:
        blocks = [block(0.9, 0.6, few) for few in (0.2, 0.3, 0.4)]
        numbers = of_entry(made("mine", blocks), Board(tmp_path))
        write_card(numbers, tmp_path / "README.md")
        few = [0.2, 0.3, 0.4]
        (found,) = [
            item for item in read(tmp_path / "README.md").eval_results if item.metric_name == "top-1, few-shot classes"
        ]
        assert found.metric_value == pytest.approx(mean(few), abs=1e-12)
        assert found.metric_args == {"seeds": 3, "standard_deviation": pytest.approx(stdev(few), abs=1e-12)}
        assert found.source_url is None

    def test_what_was_submitted_alone_is_not_shown(self, tmp_path: Path) -> None:
        with pytest.raises(SubmissionRefused, match="openmmlo leaderboard rescore miniature/mine"):
            of_entry(made("mine", [block(0.9, 0.6, 0.2)], mark=None), Board(tmp_path))

    def test_an_entry_of_a_published_board_names_it(self, tmp_path: Path) -> None:
        board = Board(tmp_path, Origin("lab/board", "ab" * 20, tmp_path))
        write_card(of_entry(made("mine", [block(0.9, 0.6, 0.2)]), board), tmp_path / "README.md")
        sources = {(item.source_name, item.source_url) for item in read(tmp_path / "README.md").eval_results}
        ((name, url),) = sources
        assert name == "OpenMMlo leaderboard, re-scored"
        assert url.endswith(f"/datasets/lab/board/blob/{'ab' * 20}/submissions/miniature/mine.json")


@pytest.mark.parametrize(
    ("front", "word"),
    [
        ("a: [", "not valid YAML"),
        ("- a\n- b", "expected key: value"),
        ("model-index: yes", "model-index"),
        ("model-index:\n- name: x", "model-index"),
        ("model-index:\n- name: x\n  results:\n  - task: 3", "model-index"),
    ],
)
def test_a_damaged_card_is_left_as_it_is(
    front: str, word: str, result: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    path = tmp_path / "README.md"
    path.write_text(f"---\n{front}\n---\n# x\n")
    before = path.read_bytes()
    with pytest.raises(DataError, match=word):
        write_card(measured(str(result[0]), None), path)
    assert path.read_bytes() == before


def test_foreign_names_break_nothing(result: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    hostile = "x\n---\n# <script>\u2028[a](javascript:b)"
    write_card(replace(measured(str(result[0]), None), name=hostile), tmp_path / "README.md")
    content = (tmp_path / "README.md").read_text(encoding="utf-8")
    front, body = content.split("---\n", 2)[1:]
    assert yaml.safe_load(front)["model-index"][0]["name"] == hostile
    assert "<script>" not in body
    assert "[a](" not in body
