"""Builds from source to data set, with a stub source and captioner through the real engine."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from builds import contents, kill, start_build
from stubs import Generated, jpeg

from openmmlo.building import BuildConfig, BuildResult, build, plan_build
from openmmlo.errors import BuildRefused, ConfigError, DataError, DiskFull, UnknownName, WorkerDied
from openmmlo.records import Finding, Status


def config(out: Path, **values: Any) -> BuildConfig:
    options = values.pop("source_options", {"images_per_split": 30})
    defaults: dict[str, Any] = {
        "batch_size": 4, "shard_size": 10, "prefetch": 0, "captioner": "stubs:Describing", "measure": False
    }  # fmt: skip
    return BuildConfig(source="stubs:Generated", out=out, source_options=options, **{**defaults, **values})


def rows(out: Path, split: str = "*") -> list[dict[str, Any]]:
    return [row for path in sorted(out.glob(f"data/{split}-*.parquet")) for row in pq.read_table(path).to_pylist()]


def errors(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "errors.jsonl").read_text(encoding="utf-8").splitlines()]


class Recorder:
    """A Progress that keeps what it is told."""

    def __init__(self) -> None:
        self.total = self.done = self.advanced = self.failed = 0
        self.said: list[str] = []
        self.closed = False

    def start(self, total: int, done: int) -> None:
        self.total, self.done = total, done

    def advance(self, rows: int, failed: int) -> None:
        self.advanced += rows
        self.failed += failed

    def say(self, message: str) -> None:
        self.said.append(message)

    def close(self) -> None:
        self.closed = True


def test_every_sample_becomes_a_row_with_its_image_caption_and_mask(tmp_path: Path) -> None:
    result = build(config(tmp_path / "out"))
    assert result.complete
    assert result.rows == {"train": 30, "test": 30, "open": 30}
    assert (result.planned, result.errors, result.remaining_shards) == (90, {}, 0)
    source = Generated(30)
    expected = [sample for split in ("open", "test", "train") for sample in source.samples(split)]
    built = rows(tmp_path / "out")
    assert [row["sample_id"] for row in built] == [sample.sample_id for sample in expected]
    for row, sample in zip(built, expected, strict=True):
        data = sample.image.read()
        assert row["image"]["bytes"] == data
        assert row["sha256"] == hashlib.sha256(data).hexdigest()
        assert (row["label"], row["class_key"]) == (sample.label, sample.class_key)
        assert (row["width"], row["height"]) == (48, 32)
        masked = row["caption"]
        for span in reversed(row["spans"]):
            hidden = "[mask]s" if masked[: span["end"]].endswith("s") else "[mask]"
            masked = masked[: span["start"]] + hidden + masked[span["end"] :]
        assert row["masked_caption"] == masked
    own = [row for row in built if row["label"] == 1 and "umbrella" in row["caption"]]
    assert own
    assert all("umbrella" not in row["masked_caption"] and "red foxes" in row["masked_caption"] for row in own)
    assert all("fox" not in row["masked_caption"] for row in built if row["label"] in (0, -1))


def test_two_runs_give_the_same_bytes_whatever_ran_them(tmp_path: Path) -> None:
    build(config(tmp_path / "a"))
    build(config(tmp_path / "b", workers=2, prefetch=1))
    build(config(tmp_path / "c", shard="1/2"))
    assert build(config(tmp_path / "c", shard="2/2", prefetch=2)).complete
    assert contents(tmp_path / "a") == contents(tmp_path / "b") == contents(tmp_path / "c")


def test_load_dataset_reads_masked_and_raw(tmp_path: Path) -> None:
    from datasets import ClassLabel, Image, load_dataset

    out = tmp_path / "out"
    build(config(out))
    for name, column, absent in (("masked", "masked_caption", "caption"), ("raw", "caption", "masked_caption")):
        loaded = load_dataset(str(out), name, cache_dir=str(tmp_path / "cache"))
        assert {split: len(loaded[split]) for split in loaded} == {"train": 30, "test": 30, "open": 30}
        features = loaded["train"].features
        assert isinstance(features["image"], Image)
        assert isinstance(features["label"], ClassLabel)
        assert column in features
        assert absent not in features
        assert loaded["train"][0]["image"].size == (48, 32)
        assert features["label"].int2str(loaded["train"][1]["label"]) == "umbrella"
        assert set(loaded["open"]["label"]) == {-1}


def test_a_finished_build_is_left_as_it_is(tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(config(out))
    stamps = {path: path.stat().st_mtime_ns for path in (*out.glob("*.*"), *out.glob("data/*"))}
    recorder = Recorder()
    again = build(config(out), recorder)
    assert again.complete
    assert (recorder.total, recorder.done, recorder.advanced, recorder.closed) == (90, 90, 0, True)
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps


def test_one_slice_alone_does_not_assemble(tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = build(config(out, shard="1/3"))
    assert (result.complete, result.remaining_shards, sum(result.rows.values())) == (False, 6, 30)
    assert not (out / "manifest.json").exists()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"source_options": {"images_per_split": 31}}, "plan.digest"),
        ({"limit": 5}, "plan.limit"),
        ({"captioner": "stubs:Counting", "captioner_options": {"log": "x"}}, "captioner.captioner"),
        ({"with_images": False}, "with_images"),
        ({"shard_size": 20}, "plan.shard_size"),
        ({"max_pixels": 99}, "max_pixels"),
    ],
)
def test_changed_inputs_are_refused_not_mixed(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    out = tmp_path / "out"
    build(config(out, shard="1/3"))
    before = {path: path.read_bytes() for path in out.rglob("*.parquet")}
    with pytest.raises(BuildRefused, match=rf"fingerprint \w+, now \w+(?s:.)*{named}"):
        build(config(out, **change))
    assert {path: path.read_bytes() for path in out.rglob("*.parquet")} == before


def test_what_does_not_decide_the_data_may_change(tmp_path: Path) -> None:
    build(config(tmp_path / "out", shard="1/3", captioner_options={"seconds": 0.001}))
    assert build(config(tmp_path / "out", workers=2, prefetch=1)).complete


def test_a_second_builder_of_a_slice_is_told_so(tmp_path: Path) -> None:
    out = tmp_path / "out"
    work = {"source_options": {"images_per_split": 200}, "captioner_options": {"seconds": 2}, "batch_size": 4}
    first = start_build(out=out, **work)
    try:
        while not list((out / ".openmmlo" / "journals").glob("*.journal")):
            assert first.poll() is None, first.communicate()
        with pytest.raises(BuildRefused, match=r"Slice 1/1 of .* is being built by another process"):
            build(BuildConfig("stubs:Generated", out, work["source_options"], "stubs:Describing", batch_size=4))
        with pytest.raises(BuildRefused, match=r"Shard train-00000-of-00001 of .* is being built by another process"):
            build(BuildConfig("stubs:Generated", out, work["source_options"], "stubs:Describing", shard="1/2"))
    finally:
        kill(first)


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(BuildRefused, match="not empty"):
        build(config(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_output_inside_the_images_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "photos" / "cat"
    folder.mkdir(parents=True)
    (folder / "a.jpg").write_bytes(jpeg(1, 40, 30))
    with pytest.raises(BuildRefused, match="inside the images"):
        build(BuildConfig(str(tmp_path / "photos"), tmp_path / "photos" / "out", captioner="stubs:Describing"))


def test_failed_samples_can_be_retried_and_leave_no_trace(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    broken = {"captioner": "stubs:Broken", "captioner_options": {"flag": str(flag)}}
    out = tmp_path / "out"
    result = build(config(out, **broken))
    assert result.complete
    labelled = [sample for split in ("train", "test") for sample in Generated(30).samples(split)]
    failed = [sample.sample_id for sample in labelled if sample.label == 2]
    assert result.errors == {"no-caption": len(failed)}
    assert [row["sample_id"] for row in errors(out)] == failed
    assert {row["reason"] for row in errors(out)} == {"no caption for this class today"}
    assert len(rows(out)) + len(failed) == 90
    flag.unlink()
    assert build(config(out, **broken)).errors == {"no-caption": len(failed)}, "without --retry nothing is tried again"
    assert build(config(out, **broken, retry=("missing",))).errors == {"no-caption": len(failed)}
    recorder = Recorder()
    assert build(config(out, **broken, retry=("failed",)), recorder).errors == {}
    assert recorder.advanced == len(failed)
    build(config(tmp_path / "whole", **broken))
    assert contents(out) == contents(tmp_path / "whole")


def test_a_retry_that_is_killed_goes_on(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    broken = {"captioner": "stubs:Broken", "captioner_options": {"flag": str(flag)}}
    out = tmp_path / "out"
    build(config(out, **broken))
    flag.unlink()
    slow = {"captioner": "stubs:Broken", "captioner_options": {"flag": str(flag), "seconds": 0.3}}
    process = start_build(
        out=out, source_options={"images_per_split": 30}, batch_size=4, shard_size=10, retry=["failed"], **slow
    )
    while not list((out / ".openmmlo" / "journals").glob("*.journal")):
        assert process.poll() is None, process.communicate()
    kill(process)
    assert build(config(out, **broken, retry=("failed",))).errors == {}
    build(config(tmp_path / "whole", **broken))
    assert contents(out) == contents(tmp_path / "whole")


def test_an_image_that_kills_its_decoder_fails_alone(tmp_path: Path) -> None:
    crashing = {"captioner": "stubs:Crashing", "captioner_options": {"fatal": "train/000013"}, "prefetch": 2}
    result = build(config(tmp_path / "out", **crashing))
    assert result.errors == {"unreadable": 1}
    assert [(row["sample_id"], row["reason"]) for row in errors(tmp_path / "out")] == [
        ("train/000013", "the image decoder crashed on it")
    ]


def test_a_killed_worker_stops_the_build_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(WorkerDied, match=r"killed by SIGKILL .*out of memory.*run the same command"):
        build(config(tmp_path / "out", captioner="stubs:Suicidal", workers=2))


def test_a_full_disk_stops_with_a_message_and_a_later_run_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "out"
    code = f"""
import resource, sys
from pathlib import Path
from openmmlo.building import BuildConfig, build
from openmmlo.errors import DiskFull
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
try:
    build(BuildConfig("stubs:Generated", Path({str(out)!r}), {{"images_per_split": 30}}, "stubs:Describing",
                      batch_size=4, shard_size=30, prefetch=0, measure=False))
except DiskFull as error:
    sys.stderr.write(str(error))
    raise SystemExit(7)
"""
    here = Path(__file__).parents[1]
    # -B: under the limit Python would leave cut .pyc files behind.
    done = subprocess.run(
        [sys.executable, "-B", "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env={"PYTHONPATH": f"{here}:{here.parent}", "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 7, done.stderr
    assert "make room and run the same command" in done.stderr
    result = build(config(out, shard_size=30))
    assert result.complete
    build(config(tmp_path / "whole", shard_size=30))
    assert contents(out) == contents(tmp_path / "whole")
    assert issubclass(DiskFull, Exception)


def test_without_images_the_column_is_absent(tmp_path: Path) -> None:
    from datasets import load_dataset

    out = tmp_path / "out"
    build(config(out, with_images=False))
    assert "image" not in rows(out)[0]
    loaded = load_dataset(str(out), "masked", cache_dir=str(tmp_path / "cache"))
    assert "image" not in loaded["train"].features


def test_an_image_that_changes_under_the_build_is_an_error_row(tmp_path: Path) -> None:
    folder = tmp_path / "photos" / "cat"
    folder.mkdir(parents=True)
    for index in range(4):
        (folder / f"{index}.jpg").write_bytes(jpeg(index, 40, 30))

    class Meddler(Recorder):
        def advance(self, rows: int, failed: int) -> None:
            (folder / "2.jpg").write_bytes(jpeg(9, 40, 30))

    options = {"val": 0, "test": 0}
    job = BuildConfig(str(tmp_path / "photos"), tmp_path / "out", options, "stubs:Describing", prefetch=0,
                      measure=False)  # fmt: skip
    result = build(job, Meddler())
    assert result.errors == {"changed": 1}
    assert build(replace(job, retry=("changed",))).errors == {}
    by_id = {row["sample_id"]: row for row in rows(tmp_path / "out")}
    assert by_id["cat/2.jpg"]["image"]["bytes"] == jpeg(9, 40, 30)


def test_dry_run_plans_and_writes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    summary = plan_build(config(out))
    assert (summary.samples, summary.shards, summary.done_shards) == (90, 9, 0)
    assert summary.splits == {"train": 30, "test": 30, "open": 30}
    assert not out.exists()
    assert build(config(out, shard="1/3")).fingerprint == summary.fingerprint
    assert plan_build(config(out)).done_shards == 3


@pytest.mark.parametrize(
    "values", [{"batch_size": 0}, {"workers": 0}, {"limit": 0}, {"shard": "4/3"}, {"prefetch": -1}, {"max_pixels": 0}]
)
def test_values_that_cannot_be_are_refused(tmp_path: Path, values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        config(tmp_path, **values)


def test_unknown_names_are_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'train'"):
        build(config(tmp_path / "out", splits=("trian",)))
    with pytest.raises(UnknownName, match="Did you mean 'missing'"):
        config(tmp_path / "out", retry=("mising",))
    with pytest.raises(UnknownName, match="Did you mean 'instructblip'"):
        build(config(tmp_path / "out", captioner="instructblp"))
    assert not (tmp_path / "out").exists()


def test_row_groups_are_cut_by_position_and_pages_are_indexed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(config(out, source_options={"images_per_split": 250}, shard_size=250, splits=("train",)))
    file = pq.ParquetFile(out / "data" / "train-00000-of-00001.parquet")
    assert [file.metadata.row_group(index).num_rows for index in range(file.num_row_groups)] == [100, 100, 50]
    column = file.metadata.row_group(0).column(0)
    assert column.has_offset_index
    assert column.has_column_index


def test_manifest_and_log_say_what_was_done_and_hold_no_local_path(tmp_path: Path) -> None:
    out = tmp_path / "out"
    result: BuildResult = build(config(out))
    manifest = json.loads((out / "manifest.json").read_bytes())
    assert manifest["fingerprint"] == result.fingerprint
    assert manifest["splits"]["train"]["planned"] == manifest["splits"]["train"]["rows"] == 30
    for entry in manifest["files"]:
        data = (out / entry["path"]).read_bytes()
        assert (entry["bytes"], entry["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
        assert entry["rows"] == pq.read_metadata(out / entry["path"]).num_rows
    assert manifest["classes"]["shot_groups"] == {"many": 0, "medium": 1, "few": 3}
    events = [json.loads(line) for line in (out / ".openmmlo" / "log.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events] == ["start", *["shard"] * 9, "stop"]
    for path in out.rglob("*"):
        if path.is_file() and path.suffix in {".json", ".jsonl", ".md", ".csv"}:
            assert str(tmp_path) not in path.read_text(encoding="utf-8")


def test_missing_images_stop_the_build_unless_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = Generated.samples

    def with_holes(self: Generated, split: str) -> Any:
        for index, sample in enumerate(samples(self, split)):
            yield replace(sample, problem=Status.MISSING) if index % 10 == 0 else sample

    def check(self: Generated, splits: tuple[str, ...] = (), look: bool = True) -> list[Finding]:
        holes = Finding("error", "9 of 90 images are missing", "--allow-missing turns them into error rows", True)
        return [holes] if look else []

    monkeypatch.setattr(Generated, "samples", with_holes)
    monkeypatch.setattr(Generated, "check", check)
    with pytest.raises(DataError, match=r"9 of 90 images are missing.*--allow-missing"):
        build(config(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    assert plan_build(config(tmp_path / "out")).findings[0].level == "error"
    assert plan_build(config(tmp_path / "out", allow_missing=True)).samples == 90
    result = build(config(tmp_path / "out", allow_missing=True))
    assert (result.errors, sum(result.rows.values())) == ({"missing": 9}, 81)
    monkeypatch.setattr(Generated, "samples", samples)
    assert build(config(tmp_path / "out", retry=("missing",))).errors == {}
    build(config(tmp_path / "whole"))
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_while_a_retry_is_under_way_there_is_no_manifest(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    broken = {"captioner": "stubs:Broken", "captioner_options": {"flag": str(flag)}}
    out = tmp_path / "out"
    build(config(out, **broken))
    flag.unlink()

    class Watcher(Recorder):
        def advance(self, rows: int, failed: int) -> None:
            super().advance(rows, failed)
            assert not (out / "manifest.json").exists()

    watcher = Watcher()
    assert build(config(out, **broken, retry=("failed",)), watcher).complete
    assert watcher.advanced == 14
    assert (out / "manifest.json").exists()


def test_a_retry_keeps_good_rows_whose_files_have_changed_since(tmp_path: Path) -> None:
    folder = tmp_path / "photos" / "cat"
    folder.mkdir(parents=True)
    for index in range(4):
        (folder / f"{index}.jpg").write_bytes(jpeg(index, 40, 30))
    (folder / "3.jpg").write_bytes(b"")
    options = {"val": 0, "test": 0}
    job = BuildConfig(str(tmp_path / "photos"), tmp_path / "out", options, "stubs:Describing", prefetch=0,
                      measure=False)  # fmt: skip
    assert build(job).errors == {"unreadable": 1}
    before = rows(tmp_path / "out")
    (folder / "1.jpg").write_bytes(jpeg(9, 40, 30))
    (folder / "2.jpg").unlink()
    (folder / "2.jpg").write_bytes(b"broken meanwhile")
    (folder / "3.jpg").write_bytes(jpeg(3, 40, 30))
    assert build(replace(job, retry=("failed",))).errors == {}
    after = rows(tmp_path / "out")
    assert after[:3] == before
    assert after[3]["image"]["bytes"] == jpeg(3, 40, 30)


def test_output_that_cannot_be_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BuildRefused, match="is a file"):
        build(config(tmp_path / "file"))
    with pytest.raises(BuildRefused, match="cannot be made or written"):
        build(config(tmp_path / "file" / "below"))


def test_a_plan_that_another_slice_cut_differently_is_not_taken_for_the_same(tmp_path: Path) -> None:
    from openmmlo.building.preparation import prepare, record
    from openmmlo.building.workspace import Workspace

    workspace = Workspace(tmp_path / "out")
    job = config(workspace.out)
    first = prepare(job, workspace)
    late = replace(first, state={**first.state, "shards": first.state["shards"][:-1]})
    workspace.make()
    assert record(first)
    assert not record(late)
    assert record(prepare(job, workspace))


def test_prefetch_processes_that_cannot_start_blame_no_image(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from openmmlo.building import BuildConfig, build
build(BuildConfig("stubs:Generated", Path({str(tmp_path / "out")!r}), {{"images_per_split": 3}}, "stubs:Describing"))
"""
    here = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-"],
        input=code,
        capture_output=True,
        text=True,
        timeout=120,
        env={"PYTHONPATH": f"{here}:{here.parent}", "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 1
    assert 'needs `if __name__ == "__main__":`' in done.stderr
    assert not list((tmp_path / "out" / "data").iterdir())


def test_an_unknown_name_comes_back_from_a_worker(tmp_path: Path) -> None:
    import pickle

    error = UnknownName("preset", "lavi", ["lavis", "greedy"])
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301
