"""The linter: golden findings on the paper's rows, one made-up sin a rule, and nothing on clean rows."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_entries import SETTING, block, digest_of_text, made, written

from openmmlo.cli import main
from openmmlo.evaluate.features.overlap import Overlap
from openmmlo.leaderboard.board import Board
from openmmlo.leaderboard.lint import RULES, Finding, lint, lint_reported, lint_submissions
from openmmlo.leaderboard.lint.arithmetic import off_curve, recombined
from openmmlo.leaderboard.reported import read_tables

CHECKOUT = Path(__file__).parents[2]
REPORTED = CHECKOUT / "leaderboard" / "reported"


def clean() -> list[Any]:
    """Three methods with three seeds each, no two alike."""
    return [
        made(name, [block(0.8 - few / 3, 0.6, few + step / 90) for step in range(3)], method=method)
        for name, few, method in (("ce", 0.11, "ce"), ("focal", 0.17, "focal"), ("own", 0.41, None))
    ]


def papers() -> dict[str, Any]:
    return {path.stem: json.loads(path.read_text()) for path in sorted(REPORTED.glob("*.json"))}


def of_papers(values: dict[str, Any]) -> list[Finding]:
    return list(lint_reported(read_tables(values)))


def test_the_papers_rows_that_contradict_themselves_are_found_with_their_residuals() -> None:
    """Nine rows; a residual is the recombined mean minus the "all", by sizes 385/479/136 and 842/4,076/3,224."""
    found = {
        (
            item.subject.split(": ")[1].split(",")[0],
            item.subject.split(", ")[1].split(" ")[0],
            item.benchmark,
        ): item.residual
        for item in of_papers(papers())
        if item.rule == "recombination"
    }
    expected = {
        ("MiSLAS", "training", "imagenet-lt"): 0.467,
        ("PaCo", "training", "inaturalist2018"): -0.142,
        ("T-hp", "training", "imagenet-lt"): 0.174,
        ("T-hp", "training", "inaturalist2018"): 0.110,
        ("T-hp (second row)", "training", "imagenet-lt"): 0.158,
        ("T-hp", "only", "imagenet-lt"): 0.129,
        ("CLIP zero-shot", "only", "imagenet-lt"): 4.257,
        ("LPT", "only", "inaturalist2018"): -0.131,
        ("VL-LTR", "only", "imagenet-lt"): -0.869,
    }
    assert found.keys() == expected.keys()
    for key, residual in expected.items():
        assert found[key] == pytest.approx(residual, abs=5e-4), key


def test_the_other_findings_on_the_paper_are_training_sets_and_seeds() -> None:
    found = of_papers(papers())
    rest = [item for item in found if item.rule != "recombination"]
    assert [item.subject for item in rest if item.rule == "seeds"] == [f"Table {number}" for number in range(1, 7)]
    other_sets = {
        (item.subject.split(":")[0], item.subject.split(": ")[1].split(",")[0])
        for item in rest
        if item.rule == "training-set"
    }
    assert other_sets == {
        *(("Table 2", name) for name in ("ProxyAnchor", "CE+SimCLR", "CSI", "SSD+", "KNN+", "CIDER")),
        *(("Table 3", name) for name in ("CLIP linear probe", "CoOp", "VPT", "DAPT", "T-hp")),
        ("Table 4", "balanced / cosine"),
    }
    assert {item.rule for item in rest} == {"seeds", "training-set"}
    assert not any(item.fails for item in found)


def test_nothing_is_found_among_clean_rows() -> None:
    assert list(lint_submissions(clean())) == []


def test_on_the_board_of_this_checkout_only_papers_are_found_wanting() -> None:
    """Whatever is submitted there must be clean; the paper's nine rows are there to be found."""
    found = lint(Board(CHECKOUT / "leaderboard"))
    assert sum(item.rule == "recombination" and item.origin == "reported" for item in found) == 9
    # The mark of an entry that a change brings up to date is taken away when it is merged, and by nobody before.
    assert [item for item in found if item.fails and item.rule != "orphan"] == []


def rules(*entries: Any) -> list[tuple[str, str]]:
    return [(item.rule, item.entry) for item in lint_submissions([*clean(), *entries])]


@pytest.mark.parametrize(("stated", "wrong"), [(0.0005, False), (0.0015, True), (-0.0015, True)])
def test_shot_groups_recombine_within_a_tenth_of_a_point(stated: float, wrong: bool) -> None:
    whole = (18 * 0.7 + 17 * 0.5 + 15 * 0.2) / 50
    blocks = [block(0.7, 0.5, 0.2, all_=whole + stated, ece=seed / 100) for seed in range(3)]
    found = list(lint_submissions([made("odd", blocks)]))
    assert [item.rule for item in found] == ["recombination"] * 3 * wrong
    for item in found:
        assert item.residual == pytest.approx(-100 * stated)
        assert "(18 x 70 + 17 x 50 + 15 x 20) / 50" in item.text
        assert item.fails


def test_an_entry_without_a_mark_is_held_to_what_it_claims() -> None:
    blocks = [block(0.7, 0.5, 0.2, all_=0.6, ece=seed / 100) for seed in range(3)]
    assert [item.rule for item in lint_submissions([made("odd", blocks, mark=None)])] == ["recombination"] * 3


def test_another_training_set_an_unknown_method_and_too_few_seeds_are_found() -> None:
    other = replace(SETTING, training_set="miniature train_balanced")
    assert rules(made("more", [block(0.9, 0.8, 0.7 + step / 90) for step in range(3)], setting=other)) == [
        ("training-set", "more")
    ]
    assert rules(made("odd", [block(0.9, 0.8, 0.7 + step / 90) for step in range(3)], method="focall")) == [
        ("method", "odd")
    ]
    assert rules(made("two", [block(0.9, 0.8, 0.7 + step / 90) for step in range(2)])) == [("seeds", "two")]


def test_a_checkpoint_that_was_trained_for_another_benchmark_than_is_said_is_found() -> None:
    blocks = [block(0.9, 0.8, 0.7 + step / 90) for step in range(3)]
    assert rules(made("odd", blocks, identity={"benchmark": "places-lt"})) == [("training-set", "odd")] * 3
    assert rules(made("mine", blocks, identity={"benchmark": "miniature"})) == []


def test_what_learns_from_no_image_needs_no_seeds() -> None:
    assert rules(made("clip", [block(0.9, 0.8, 0.7)], setting=replace(SETTING, training_set="none"))) == []


def test_predictions_under_two_names_are_found_and_told_once() -> None:
    blocks = [block(0.77, 0.6, 0.31 + step / 90) for step in range(3)]
    first = made("first", blocks)
    shared = [run.predictions.sha256 for run in first.submission.runs]
    copied = made("copied", blocks, predictions=shared)
    assert rules(first, copied) == [("same-predictions", "copied")] * 3
    twice = made("twice", [blocks[0], blocks[0], blocks[1]], predictions=[shared[0], shared[0], shared[1]])
    assert rules(twice) == [("same-predictions", "twice")]


def test_equal_measures_of_other_files_are_an_implausible_tie() -> None:
    blocks = [block(0.77, 0.6, 0.31 + step / 90) for step in range(3)]
    assert rules(made("first", blocks), made("second", blocks)) == [("tie", "second")] * 3


def test_equal_accuracies_with_other_confidences_are_no_tie() -> None:
    pair = [
        made(name, [block(0.77, 0.6, 0.31 + step / 90, ece=ece + step) for step in range(3)])
        for name, ece in (("a", 0.1), ("b", 0.2))
    ]
    assert rules(*pair) == []


def test_a_rate_without_a_convention_is_found() -> None:
    blocks = [block(0.77, 0.6, 0.31 + step / 90) for step in range(3)]
    for scored in blocks:
        scored["ood"]["near-ood"]["detectors"]["knn"]["fpr95"] = 0.4
    assert rules(made("unsaid", blocks)) == [("convention", "unsaid")] * 3


def test_images_that_were_learned_from_and_tested_are_found() -> None:
    blocks = [block(0.77, 0.6, 0.31 + step / 90) for step in range(3)]
    seen = Overlap("train", "test", (("b", "a"),) * 12, 2_500).line  # as eval words it
    assert rules(made("leak", blocks, warnings=[seen])) == [("overlap", "leak")] * 3
    assert rules(made("calm", blocks, warnings=["12 of 2,500 images are small"])) == []
    same = {"train": digest_of_text("list"), "test": digest_of_text("list")}
    assert rules(made("same", blocks, lists=same)) == [("overlap", "same")] * 3
    apart = {"train": digest_of_text("list"), "test": digest_of_text("another")}
    assert rules(made("apart", blocks, lists=apart)) == []


def test_files_that_belong_to_nobody_and_a_submission_that_cannot_be_read_are_found(tmp_path: Path) -> None:
    first, second, *_ = clean()
    root = written(tmp_path, [first, second])
    (root / "submissions" / "miniature" / "ce.json").write_bytes(first.submission.to_bytes() + b"\n")
    (root / "submissions" / "miniature" / "bad.json").write_text("{")
    (root / "predictions").mkdir()
    (root / "predictions" / f"{digest_of_text('nobody')}.parquet").write_bytes(b"PAR1")
    clash = made("clash", [{"a": {"b": 1}, "a.b": 2}], mark=None).submission
    (root / "submissions" / "miniature" / "clash.json").write_bytes(clash.to_bytes())
    found = [(item.rule, item.entry, item.fails) for item in lint(Board(root))]
    assert {("refused", "bad", True), ("refused", "clash", True)} <= set(found)
    assert [item for item in found if item[0] == "orphan"] == [("orphan", "ce", True), ("orphan", "", True)]
    assert ("overlap", "", False) in found


def test_a_paper_that_contradicts_itself_in_other_ways_is_found() -> None:
    values = papers()
    rows = values["table-2"]["rows"]
    rows[0]["convention"] = None
    rows[1]["metrics"]["svhn.auroc"] = 99.9
    rows[2]["metrics"] = dict(rows[3]["metrics"])
    rows[4]["method_key"] = "knn-minus"
    found = {(item.rule, item.subject.split(": ")[-1].split(",")[0]) for item in of_papers(values)}
    assert {("convention", "ProxyAnchor"), ("curve", "CE+SimCLR"), ("tie", "SSD+"), ("method", "KNN+")} <= found


@pytest.mark.parametrize(
    ("auroc", "fpr95", "expected"), [(96.3, 45.1, None), (97.7, 45.1, None), (98.0, 45.1, 0.255), (50.0, 45.1, -2.155)]
)
def test_the_bounds_that_a_point_of_the_curve_leaves(auroc: float, fpr95: float, expected: float | None) -> None:
    """Through (45.1 %, 95 %): at least 0.95 x 54.9 = 52.155, at most 100 - 0.05 x 45.1 = 97.745."""
    assert off_curve(auroc, fpr95) == (None if expected is None else pytest.approx(expected))


def test_a_group_that_is_absent_makes_no_sum() -> None:
    assert recombined({"many": 50.0, "few": 10.0}, {"many": 1, "medium": 2, "few": 3}) is None
    assert recombined({"many": 50.0, "few": 10.0}, {"many": 1, "medium": 0, "few": 3}) == pytest.approx(20.0)
    assert recombined({}, {}) is None


def test_the_page_tells_every_rule_and_every_row_of_the_paper_that_does_not_recombine() -> None:
    page = (CHECKOUT / "docs" / "leaderboard.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE) == list(RULES)
    assert all(text.endswith(".") for text in RULES.values())
    told = re.findall(r"^\| .+ \| [\d.]+ \| [\d.]+ \| ([+−][\d.]+) \|$", page, re.MULTILINE)
    found = [item.residual for item in of_papers(papers()) if item.residual is not None]
    assert sorted(told) == sorted(f"{residual:+.2f}".replace("-", "−") for residual in found)


def test_the_command_ends_with_4_where_a_submission_cannot_be_and_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = written(tmp_path, clean())
    assert main(["leaderboard", "lint", "--board", str(root)]) == 0
    capsys.readouterr()
    written(tmp_path, [made("odd", [block(0.7, 0.5, 0.2, all_=0.6, ece=seed / 100) for seed in range(3)])])
    assert main(["leaderboard", "lint", "--board", str(root)]) == 4
    said = capsys.readouterr().out
    assert "error   miniature/odd: seed 0, test: its shot groups give" in said
    assert main(["leaderboard", "lint", "--board", str(root), "--json"]) == 4
    value = json.loads(capsys.readouterr().out)
    assert value["ok"] is False
    assert {(item["rule"], item["entry"]) for item in value["findings"] if item["fails"]} == {("recombination", "odd")}


def test_what_only_papers_did_wrong_ends_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path, clean())
    shutil.copytree(REPORTED, tmp_path / "reported")
    assert main(["leaderboard", "lint", "--board", str(tmp_path)]) == 0
    assert "warning Table 1: CLIP zero-shot" in capsys.readouterr().out
