"""The measure stage: what follows a whole build, resumed, repeated, failing, and never in the data set's way."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builds import contents, kill, start_build
from stubs import Describing

import openmmlo
from openmmlo.building import BuildConfig, build, measures
from openmmlo.building.measures import measure as stage
from openmmlo.building.measures import store
from openmmlo.building.workspace import Workspace
from openmmlo.catalog import Catalog
from openmmlo.cli import main
from openmmlo.data import BuiltDataset, open_dataset
from openmmlo.errors import DataError, SampleFailed
from openmmlo.records import Status

FILES = {"stats.json", "quality.json", "audit.json", "report.html"}


def config(out: Path, **values: Any) -> BuildConfig:
    defaults: dict[str, Any] = {"source_options": {"images_per_split": 20}, "captioner": "stubs:Describing"}
    return BuildConfig("stubs:Generated", out, **{**defaults, "prefetch": 0, **values})


def everything(out: Path) -> dict[str, bytes]:
    """Every published file and the stamp of the report."""
    return contents(out) | {"stamp": (out / ".openmmlo" / "report.json").read_bytes()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    assert build(config(out)).complete
    return everything(out)


# Where measures are kept


def test_what_is_saved_is_loaded_for_its_own_data_alone(tmp_path: Path) -> None:
    value = {"format": 1, "dataset": "abc", "text": "ein Ä, \u2028 and </script>", "rate": 0.25, "none": None}
    path = store.save(tmp_path, "stats", value)
    assert path == tmp_path / "stats.json"
    assert store.load(tmp_path, "stats", "abc") == value
    assert list(store.load(tmp_path, "stats", "abc") or ()) == list(value), "keys stay in order"
    assert store.load(tmp_path, "stats", "abd") is None
    assert store.load(tmp_path, "audit", "abc") is None
    assert path.read_bytes().isascii()
    before = path.stat().st_mtime_ns
    store.save(tmp_path, "stats", dict(value))
    assert path.stat().st_mtime_ns == before
    assert [item.name for item in tmp_path.iterdir()] == ["stats.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"dataset": 1}', "\udcff"])
def test_what_is_no_measure_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "stats.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert store.load(tmp_path, "stats", "abc") is None


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_numbers_that_json_has_not_are_refused(tmp_path: Path, number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        store.save(tmp_path, "stats", {"dataset": "abc", "value": number})
    assert list(tmp_path.iterdir()) == []


# After a build


def test_a_whole_build_is_measured_once(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    out = tmp_path / "out"
    result = build(config(out, shard="1/2", shard_size=20))
    assert result.measured is None, "a slice alone is nothing to measure"
    assert not FILES & {path.name for path in out.iterdir()}
    result = build(config(out, shard="2/2", shard_size=20))
    assert result.measured is not None
    assert (result.measured.failed, result.measured.report) == ({}, out / "report.html")
    assert result.measured.leak_rate == json.loads((out / "audit.json").read_bytes())["leaks"]["all"]["any"]["rate"]
    assert result.masks["ood"] == {"rows": 20, "masked": 20}
    assert result.masks["id"]["rows"] == 40
    stamps = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    again = build(config(out, shard_size=20))
    assert again.measured == result.measured
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert set(undisturbed) >= FILES


def test_two_builds_have_the_same_measures_card_and_report(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    build(config(tmp_path / "out", workers=2))
    assert everything(tmp_path / "out") == undisturbed
    digest = open_dataset(tmp_path / "out").digest
    for name in measures.MEASURES:
        assert json.loads(undisturbed[f"{name}.json"])["dataset"] == digest


def test_masks_in_and_out_of_distribution_are_counted_apart(tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = build(config(out, measure=False))
    import pyarrow.parquet as pq

    rows = [row for path in out.glob("data/*") for row in pq.read_table(path).to_pylist()]
    for key, ood in (("id", False), ("ood", True)):
        mine = [row for row in rows if (row["label"] == -1) is ood]
        assert result.masks[key] == {"rows": len(mine), "masked": sum(bool(row["spans"]) for row in mine)}
    entry = json.loads((out / "manifest.json").read_bytes())["splits"]["open"]
    assert (entry["ood_rows"], entry["masked_ood_rows"]) == (20, entry["masked_rows"])


@pytest.mark.parametrize("step", ["stats", "quality", "audit", "report"])
def test_a_stage_that_is_killed_goes_on_where_it_was(
    tmp_path: Path, undisturbed: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    out = tmp_path / "out"
    taken: list[str] = []
    take, draw = stage._take, stage._draw

    def told(name: str, action: Callable[[], Any]) -> Any:
        if name == step and name not in taken:
            taken.append(name)
            raise KeyboardInterrupt
        taken.append(name)
        return action()

    monkeypatch.setattr(stage, "_take", lambda data, name, *rest: told(name, lambda: take(data, name, *rest)))
    monkeypatch.setattr(stage, "_draw", lambda *rest: told("report", lambda: draw(*rest)))
    with pytest.raises(KeyboardInterrupt):
        build(config(out))
    assert open_dataset(out).rows("train") == 20, "the data set is whole already"
    assert build(config(out)).complete
    assert everything(out) == undisturbed
    assert sorted(taken) == sorted(["stats", "quality", "audit", "report", step]), "nothing is measured twice"


def test_a_measure_that_fails_costs_only_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    broken = {**measures.MEASURES, "quality": f"{__name__}:broken"}
    monkeypatch.setattr(stage, "MEASURES", Catalog("measure", broken))
    words = ["build", "stubs:Generated", "--out", str(out), "--captioner", "stubs:Describing", "--prefetch", "0"]
    assert main([*words, "--set", "images_per_split=20"]) == 1
    told = capsys.readouterr().out
    assert "quality failed: ZeroDivisionError: cannot divide\n" in told
    assert f"To try again: openmmlo quality {out}" in told
    assert f"Look at it: {out / 'report.html'}" in told
    assert {path.name for path in out.iterdir()} & FILES == FILES - {"quality.json"}
    monkeypatch.undo()
    assert openmmlo.quality(out)["format"] == 1
    assert build(config(out)).measured == stage.Measured(0.0, out / "report.html")


def broken(dataset: BuiltDataset, progress: object = None) -> dict[str, Any]:
    raise ZeroDivisionError("cannot divide")


def test_without_it_nothing_is_measured(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    out = tmp_path / "out"
    assert build(config(out, measure=False)).measured is None
    assert not FILES & {path.name for path in out.iterdir()}
    assert build(config(out)).complete, "it is no part of the identity"
    assert everything(out) == undisturbed


def test_one_process_measures_at_a_time(tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(config(out, measure=False))
    with Workspace(out).lock("measures", "held"):
        assert openmmlo.measure(out) == stage.Measured()
    assert not FILES & {path.name for path in out.iterdir()}


def test_measures_and_report_of_old_captions_do_not_outlive_them(tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(config(out))
    build(config(out, recaption=True, mask_level="head", measure=False))
    assert not FILES & {path.name for path in out.iterdir()}
    assert "Leaks" not in (out / "README.md").read_text(encoding="utf-8")
    build(config(out, mask_level="head"))
    build(config(tmp_path / "whole", mask_level="head"))
    assert everything(out) == everything(tmp_path / "whole")


def test_a_card_and_a_report_that_were_changed_by_hand_are_written_anew(
    tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    out = tmp_path / "out"
    build(config(out))
    (out / "report.html").write_text("mine")
    (out / "README.md").write_text("mine")
    (out / "audit.json").write_text("mine")
    assert openmmlo.measure(out).failed == {}
    assert everything(out) == undisturbed


def test_a_data_set_that_was_fetched_keeps_its_card(tmp_path: Path) -> None:
    import shutil

    out = tmp_path / "out"
    build(config(out, measure=False))
    shutil.rmtree(out / ".openmmlo")
    (out / "README.md").write_text("as published")
    assert openmmlo.measure(out).failed == {}
    assert {path.name for path in out.iterdir()} >= FILES
    assert (out / "README.md").read_text() == "as published"
    assert not (out / ".openmmlo").exists()


def test_every_command_is_a_call(tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(config(out, measure=False))
    digest = open_dataset(out).digest
    for name, call in (("stats", openmmlo.stats), ("quality", openmmlo.quality), ("audit", openmmlo.audit)):
        found = call(out)
        assert found["dataset"] == digest
        assert store.load(out, name, digest) == json.loads(json.dumps(found))
    assert openmmlo.report(out, tmp_path / "page.html") == tmp_path / "page.html"
    assert (tmp_path / "page.html").is_file()
    assert not (out / "report.html").exists()
    with pytest.raises(DataError, match="is no folder"):
        openmmlo.measure(tmp_path / "nowhere")


class Mute(Describing):
    """Has nothing to say."""

    def prepare(self, sample: Any, image: Any) -> Any:
        raise SampleFailed(Status.NO_CAPTION, "nothing to say")


def test_a_data_set_without_a_row_is_measured_too(tmp_path: Path) -> None:
    result = build(config(tmp_path / "out", captioner=f"{__name__}:Mute"))
    assert result.errors == {"no-caption": 60}
    assert result.measured is not None
    assert result.measured.failed == {}


@pytest.mark.slow
def test_kills_within_the_stage_change_no_byte(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    chance = random.Random(5)
    out = tmp_path / "out"
    work = {"source_options": {"images_per_split": 20}, "prefetch": 0, "measure": True}
    build(config(out, measure=False))
    kills = 0
    for _ in range(20):
        process = start_build(out=out, **work)
        before = {path.name for path in out.iterdir()}
        deadline = time.monotonic() + 60
        while process.poll() is None and {path.name for path in out.iterdir()} == before and chance.random() > 0.002:
            time.sleep(0.005)
            assert time.monotonic() < deadline
        time.sleep(chance.uniform(0, 0.2))
        kills += kill(process)
    assert kills > 3
    process = start_build(out=out, **work)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert everything(out) == undisturbed


def test_an_audit_of_another_level_or_split_leaves_the_file_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(config(out))
    before = everything(out)
    assert openmmlo.audit(out, "head")["level"] == "head"
    assert set(openmmlo.audit(out, splits=["test"])["leaks"]) <= {"test", "all"}
    assert everything(out) == before
    assert openmmlo.audit(out, "strict") == json.loads(before["audit.json"])
