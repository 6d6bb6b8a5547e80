"""Results become a submission only where every number is that of its predictions; else nothing is written."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from miniature_results import (
    ABOUT,
    edited,
    files_of,
    predicted_miniature,
    result_on_miniature,
    with_rows,
    write_evaluated,
    write_unchecked,
)

from openmmlo.cli import BAD_INPUT, DONE, main
from openmmlo.errors import ConfigError, DataError, DiskFull, OpenmmloError, SubmissionRefused, UnknownName
from openmmlo.evaluate.predictions import Predictions, digest
from openmmlo.evaluate.score import score
from openmmlo.leaderboard import submit as module
from openmmlo.leaderboard.board import Board
from openmmlo.leaderboard.submission import Place
from openmmlo.leaderboard.submit import About, entry_name, place_of, submit


def test_two_seeds_are_one_entry(results: list[Path], empty: Board) -> None:
    proposal = submit(results[1::-1], ABOUT, empty)
    assert files_of(empty.root) == {}
    proposal.write()
    (entry,) = empty.entries()
    made = entry.submission
    assert (made.label, made.name, made.seeds, made.benchmark_version) == (
        "miniature/focal-loss", "Focal loss", (0, 1), 1,
    )  # fmt: skip
    assert (made.setting.backbone, made.setting.training_set) == ("thp-tiny", "miniature")
    for run, folder in zip(made.runs, results, strict=False):
        assert empty.predictions(run.predictions).read_bytes() == (folder / "predictions.parquet").read_bytes()
        assert run.predictions.rows == 4_500
        assert run.result == json.loads((folder / "result.json").read_bytes())
    assert set(files_of(empty.root)) == {
        "submissions/miniature/focal-loss.json",
        *(f"predictions/{run.predictions.sha256}.parquet" for run in made.runs),
    }


def test_the_same_again_is_nothing_to_do(results: list[Path], board: Board) -> None:
    before = files_of(board.root)
    again = submit(results[:2], ABOUT, board, date="2027-01-01")
    assert not again.changes
    assert again.diff() == ""
    again.write()
    assert files_of(board.root) == before


def test_an_update_is_shown_and_replaces(results: list[Path], board: Board) -> None:
    proposal = submit(results[:1], replace(ABOUT, note="One seed only.", authors=("C", *ABOUT.authors)), board)
    assert proposal.changes
    assert re.search('^- +"seed": 1,$', proposal.diff(), re.MULTILINE)
    assert '+ "note": "One seed only.",' in proposal.diff()
    proposal.write()
    assert board.entries()[0].submission.seeds == (0,)


def test_the_entry_of_others_stays_theirs(results: list[Path], board: Board) -> None:
    before = files_of(board.root)
    for authors in (("Eve",), ("Eve", "Ada Lovelace")):
        with pytest.raises(SubmissionRefused, match=r"focal-loss is taken: .* of 'Ada Lovelace, Emmy Noether'"):
            submit(results[2:], replace(ABOUT, authors=authors), board)
    assert files_of(board.root) == before
    submit(results[2:], replace(ABOUT, authors=("Eve",), entry="focal-loss-of-eve"), board).write()
    assert len(board.entries()) == 3


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"name": "=1+1"}, "formula"),
        ({"name": "<script>alert(1)</script>"}, "taken for HTML"),
        ({"authors": ("Ada<img src=x onerror=alert(1)>",)}, "taken for HTML"),
        ({"backbone": "<b>ResNet</b>"}, "taken for HTML"),
        ({"name": "a\x1b[2J"}, "control character"),
        ({"authors": ()}, "list of 1 to 50"),
        ({"authors": ("@x",)}, "formula"),
        ({"entry": "../../x"}, "entry's name"),
        ({"entry": "a/b"}, "entry's name"),
        ({"paper": "javascript:alert(1)"}, "address"),
        ({"code": "https://x/<script>"}, "address"),
        ({"note": "x" * 2_000}, "2,000 characters"),
        ({"captions": "spoken"}, "none, masked or raw"),
    ],
)
def test_what_people_may_not_say(results: list[Path], empty: Board, change: dict[str, Any], match: str) -> None:
    with pytest.raises(SubmissionRefused, match=match) as refused:
        submit(results[:1], replace(ABOUT, **change), empty)
    assert str(refused.value).isprintable()
    assert files_of(empty.root) == {}


def test_a_method_is_one_of_the_table(results: list[Path], empty: Board) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'focal'"):
        submit(results[:1], replace(ABOUT, method="focall"), empty)
    assert submit(results[:1], replace(ABOUT, method="focal"), empty).submission.method == "focal"


def test_what_results_do_not_say_is_asked_for(results: list[Path], empty: Board, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="give --pretraining"):
        submit(results[:1], replace(ABOUT, pretraining=None), empty)
    predictions = predicted_miniature(model="hf:openai/clip")
    result = result_on_miniature(predictions)
    result["model"]["identity"] = {"library": "transformers"}
    folder = write_evaluated(tmp_path / "clip", predictions, result)
    with pytest.raises(ConfigError, match="give --training-set"):
        submit([folder], About("CLIP", ("A",)), empty)
    made = submit([folder], About("CLIP", ("A",), training_set="none of its own"), empty).submission.setting
    assert (made.backbone, made.pretraining, made.captions) == ("hf:openai/clip", "weights of hf:openai/clip", "none")
    result["model"]["identity"] = {
        "library": "openmmlo",
        "architecture": "thp-tiny",
        "tokenizer": "t",
        "benchmark": "x",
    }
    folder = write_evaluated(tmp_path / "thp", predicted_miniature(), result | {"model": {
        "name": "tiny", "identity": result["model"]["identity"]}})  # fmt: skip
    with pytest.raises(ConfigError, match="give --captions"):
        submit([folder], replace(ABOUT, captions=None), empty)


def test_seeds_are_of_one_method(results: list[Path], empty: Board, tmp_path: Path) -> None:
    with pytest.raises(SubmissionRefused, match="Seed 0 was given twice"):
        submit([results[0], results[0]], ABOUT, empty)
    predictions = predicted_miniature(1)
    for change, match in (
        ({"classifier": {"kind": "ncm", "choices": {}}}, "the kind of classifier is 'zero-shot' and 'ncm'"),
        ({"asked": {"dtype": "float16"}}, "what was asked for"),
        ({"model": {"name": "tiny", "identity": {"library": "timm"}}}, "the library is 'openmmlo' and 'timm'"),
    ):
        folder = write_evaluated(tmp_path / "other", predictions, result_on_miniature(predictions, **change))
        with pytest.raises(SubmissionRefused, match=match):
            submit([results[0], folder], ABOUT, empty)
    with pytest.raises(ConfigError, match="No result was given"):
        submit([], ABOUT, empty)
    assert files_of(empty.root) == {}


def test_folders_that_hold_no_result(tmp_path: Path, results: list[Path], empty: Board) -> None:
    for name in ("result.json", "predictions.parquet"):
        folder = shutil.copytree(results[0], tmp_path / name)
        (folder / name).unlink()
        with pytest.raises(DataError, match=f"holds no {name}"):
            submit([folder], ABOUT, empty)
    folder = shutil.copytree(results[0], tmp_path / "own")
    edited(folder / "result.json", lambda value: value["benchmark"].update(name="my-folder"))
    with pytest.raises(SubmissionRefused, match="'my-folder', which has no table"):
        submit([folder], ABOUT, empty)
    edited(folder / "result.json", lambda value: value["benchmark"].update(name="miniature", version=2))
    with pytest.raises(SubmissionRefused, match="version 2 of miniature; now it is 1"):
        submit([folder], ABOUT, empty)


def test_departures_are_not_the_benchmark(tmp_path: Path, empty: Board) -> None:
    departing = replace(predicted_miniature(), departures=("at most 10 images of each set",))
    for result in (None, result_on_miniature(departing, departures=["at most 10 images of each set"])):
        folder = write_evaluated(tmp_path / "limited", departing, result)
        with pytest.raises(SubmissionRefused, match="departs from the benchmark's protocol"):
            submit([folder], ABOUT, empty)


def edit_accuracy(result: dict[str, Any]) -> None:
    result["scored"]["classification"]["test"]["top1_samples"] += 0.05


def test_edited_metrics_are_named_with_their_difference(results: list[Path], tmp_path: Path, empty: Board) -> None:
    folder = shutil.copytree(results[0], tmp_path / "edited")
    edited(folder / "result.json", edit_accuracy)
    with pytest.raises(SubmissionRefused, match=r"classification.test.top1_samples, seed 0: .* 0.05 off"):
        submit([folder], ABOUT, empty)
    assert files_of(empty.root) == {}


def test_predictions_of_another_run(results: list[Path], tmp_path: Path, empty: Board) -> None:
    folder = shutil.copytree(results[0], tmp_path / "swapped")
    shutil.copy(results[1] / "predictions.parquet", folder)
    with pytest.raises(SubmissionRefused, match=r"another seed \(1\)"):
        submit([folder], ABOUT, empty)
    shutil.copy(results[2] / "predictions.parquet", folder)
    with pytest.raises(SubmissionRefused, match=r"another model \('other'\)"):
        submit([folder], ABOUT, empty)
    write_evaluated(folder, predicted_miniature(0, skill=0.9), json.loads((results[0] / "result.json").read_bytes()))
    with pytest.raises(SubmissionRefused, match="another digest of the values"):
        submit([folder], ABOUT, empty)


def missing(found: Predictions) -> Predictions:
    return with_rows(found, np.arange(1, len(found.labels)))


def repeated(found: Predictions) -> Predictions:
    return with_rows(found, [0, 0, *range(2, len(found.labels))])


def unknown(found: Predictions) -> Predictions:
    ids = found.sample_ids.copy()
    ids[7] = "test/aeroplane-999999"
    return replace(found, sample_ids=ids)


def no_number(found: Predictions) -> Predictions:
    values = found.scores["msp"].copy()
    values[3] = np.nan
    return replace(found, scores={**found.scores, "msp": values})


def no_confidence(found: Predictions) -> Predictions:
    values = found.confidence.copy()
    values[3] = np.nan
    return replace(found, confidence=values)


def one_class_more(found: Predictions) -> Predictions:
    return replace(found, classes=(*found.classes, ("extra", "extra")), train_counts=(*(found.train_counts or ()), 5))


def beyond_the_classes(found: Predictions) -> Predictions:
    return replace(found, predicted=np.where(found.predicted == 3, 50, found.predicted).astype(np.int32))


def other_labels(found: Predictions) -> Predictions:
    return replace(found, classes=(found.classes[1], found.classes[0], *found.classes[2:]))


def labels_of_predictions(found: Predictions) -> Predictions:
    """What was predicted becomes the truth: everything is right."""
    keys = np.array([key for key, _ in found.classes], dtype=object)
    test = found.labels >= 0
    return replace(
        found,
        labels=np.where(test, found.predicted, -1).astype(np.int32),
        class_keys=np.where(test, keys[found.predicted], found.class_keys),
    )


def easy_classes_are_few_shot(found: Predictions) -> Predictions:
    counts = np.array(found.train_counts)
    return replace(found, train_counts=tuple(counts[np.random.default_rng(0).permutation(50)].tolist()))


def other_shots(found: Predictions) -> Predictions:
    return replace(found, shots="oltr")


def easier_set(found: Predictions) -> Predictions:
    sets = tuple(replace(item, role="shifted" if item.name == "test" else "test") for item in found.sets[:2])
    return replace(found, sets=(*sets, *found.sets[2:]))


HOSTILE = [
    (missing, "the number of rows of set 'test' is 2499; expected 2500"),
    (repeated, "holds 1 samples more than once, the first is 'test/aeroplane-000000'"),
    (unknown, "the list hash of set 'test'"),
    (no_number, "1 of 4,500 rows have a score of detector 'msp' that is NaN"),
    (no_confidence, "1 of 4,500 rows have a confidence outside 0 to 1"),
    (one_class_more, "the number of classes is 51; expected 50"),
    (beyond_the_classes, "predict a class outside 0 to 49"),
    (other_labels, "have a label that is not their class key's"),
    (labels_of_predictions, "the list hash of set 'test'"),
    (easy_classes_are_few_shot, "other numbers of training images a class"),
    (other_shots, "the rule of the shot groups is oltr"),
    (easier_set, "the role of set 'test' is shifted"),
]


@pytest.mark.parametrize(("change", "match"), HOSTILE, ids=lambda item: getattr(item, "__name__", ""))
def test_hostile_predictions_are_refused_and_nothing_is_written(
    tmp_path: Path, empty: Board, change: Callable[[Predictions], Predictions], match: str
) -> None:
    """Each with a result that agrees with it wherever it can, as somebody would send it who knows this code."""
    made = change(predicted_miniature())
    folder = tmp_path / "hostile"
    folder.mkdir()
    write_unchecked(folder / "predictions.parquet", made)
    result = result_on_miniature(predicted_miniature())
    result["digests"] |= {"predictions": digest(made), "label_map": made.label_map_hash}
    if change in (missing, unknown, one_class_more, labels_of_predictions, easy_classes_are_few_shot, other_shots):
        result["scored"] = score(made)
    (folder / "result.json").write_text(json.dumps(result))
    with pytest.raises(SubmissionRefused) as refused:
        submit([folder], ABOUT, empty)
    assert match in str(refused.value)
    assert files_of(empty.root) == {}


def test_others_predictions_lie_on_the_hub(results: list[Path], empty: Board) -> None:
    place = place_of(f"owner/name@{'a' * 40}:predictions/x.parquet")
    assert place == Place("hub", "owner/name", "a" * 40, "predictions/x.parquet")
    proposal = submit(results[:1], ABOUT, empty, [place])
    assert proposal.predictions == {}
    assert proposal.submission.runs[0].predictions.place == place
    with pytest.raises(ConfigError, match="2 places of predictions for 1 results"):
        submit(results[:1], ABOUT, empty, [place, place])
    for text in ("owner/name", "owner/name@main", "https://x/y@a:b", "a@b:c:d"):
        with pytest.raises(ConfigError, match="expected owner/name@commit:path"):
            place_of(text)
    with pytest.raises(SubmissionRefused, match="a commit of 40"):
        submit(results[:1], ABOUT, empty, [place_of("owner/name@main:x.parquet")])


def test_places_belong_to_the_folder_they_were_given_for(results: list[Path], empty: Board) -> None:
    places = [place_of(f"owner/name@{'a' * 40}:{name}.parquet") for name in ("of-seed-1", "of-seed-0")]
    made = submit(results[1::-1], ABOUT, empty, places).submission
    assert [run.predictions.place.path for run in made.runs] == ["of-seed-0.parquet", "of-seed-1.parquet"]


@pytest.mark.parametrize("linked", ["submissions/miniature", "predictions", "submissions/miniature/focal-loss.json"])
def test_nothing_is_written_through_a_link(results: list[Path], empty: Board, tmp_path: Path, linked: str) -> None:
    """A checkout may hold a link to any folder of whoever submits."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (empty.root / linked).parent.mkdir(parents=True, exist_ok=True)
    (empty.root / linked).symlink_to(elsewhere / ("new.json" if linked.endswith(".json") else ""))
    with pytest.raises(SubmissionRefused, match="on the board is a link"):
        submit(results[:2], ABOUT, empty).write()
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_all_or_nothing(results: list[Path], empty: Board, monkeypatch: pytest.MonkeyPatch, failing: int) -> None:
    proposal = submit(results[:2], ABOUT, empty)
    calls = []

    def full(path: Path, content: bytes) -> None:
        calls.append(path)
        if len(calls) > failing:
            path.with_name(f".{path.name}.tmp").write_bytes(content[:10])
            raise OSError(28, "No space left on device")
        path.write_bytes(content)

    monkeypatch.setattr(module, "write_aside", full)
    with pytest.raises(DiskFull):
        proposal.write()
    assert files_of(empty.root) == {}


def test_predictions_that_change_in_between(tmp_path: Path, results: list[Path], empty: Board) -> None:
    folder = shutil.copytree(results[0], tmp_path / "changing")
    proposal = submit([folder], ABOUT, empty)
    with (folder / "predictions.parquet").open("ab") as file:
        file.write(b"x")
    with pytest.raises(SubmissionRefused, match="changed since it was read"):
        proposal.write()
    assert files_of(empty.root) == {}


@pytest.mark.parametrize(
    ("name", "entry"),
    [("Focal loss", "focal-loss"), ("T-hp (κ = 16)", "t-hp-16"), ("LDAM-DRW", "ldam-drw"), ("../../x", "x"), ("é", "e"),
     ("a..b", "a..b")],
)  # fmt: skip
def test_file_names_of_names(name: str, entry: str) -> None:
    assert entry_name(name) == entry


def test_a_name_without_a_plain_letter_needs_a_file_name(results: list[Path], empty: Board) -> None:
    with pytest.raises(SubmissionRefused, match="--entry"):
        submit(results[:1], replace(ABOUT, name="王小明"), empty)
    assert submit(results[:1], replace(ABOUT, name="王小明", entry="wang"), empty).submission.label == "miniature/wang"


def command(*words: object) -> int:
    return main([str(word) for word in words])


def test_the_command(results: list[Path], empty: Board, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("submit", *results[:2], "--name", "Focal loss", "--authors", "Ada Lovelace, Emmy Noether", "--pretraining",
             "none", "--board", empty.root)  # fmt: skip
    assert command(*words, "--dry-run") == DONE
    shown = capsys.readouterr().out
    assert '+ "entry": "focal-loss",' in shown
    assert "Nothing was written" in shown
    assert files_of(empty.root) == {}
    assert command(*words) == DONE
    assert "openmmlo leaderboard rescore miniature/focal-loss" in capsys.readouterr().out
    assert empty.entries()[0].submission.authors == ("Ada Lovelace", "Emmy Noether")
    assert command(*words) == DONE
    assert "Nothing to do" in capsys.readouterr().out
    assert command(*words, "--note", "New", "--json") == DONE
    found = json.loads(capsys.readouterr().out)
    assert (found["entry"], found["changes"], found["written"], found["predictions"]) == (
        "miniature/focal-loss", True, True, [],
    )  # fmt: skip


def test_the_command_says_why_not(results: list[Path], empty: Board, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("submit", results[0], "--authors", "A", "--pretraining", "none", "--board", empty.root)
    assert command(*words, "--name", "\x1b[31m=x") == BAD_INPUT
    shown = capsys.readouterr().err
    assert "\x1b" not in shown
    assert "Traceback" not in shown
    assert command(*words, "--name", "x", "--captions", "mask") == BAD_INPUT
    assert "expected none, masked or raw" in capsys.readouterr().err
    assert command("submit", "--name", "x") == BAD_INPUT
    assert files_of(empty.root) == {}


def test_refusals_are_errors_for_people() -> None:
    assert issubclass(SubmissionRefused, OpenmmloError)
    assert SubmissionRefused("x").exit_code == BAD_INPUT
