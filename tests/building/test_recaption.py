"""A recaption gives the bytes of a fresh build, reads no image it need not, and harms nothing until it is whole."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builds import contents
from stubs import Describing, Generated, GeneratedImage, Numbering, jpeg

from openmmlo.building import BuildConfig, build, plan_build, promotion
from openmmlo.building.workspace import Workspace
from openmmlo.errors import BuildRefused, DataError, SampleFailed
from openmmlo.records import Finding, Sample, Status

HEAD: dict[str, Any] = {"mask_level": "head"}
NUMBERING: dict[str, Any] = {"captioner": "stubs:Numbering"}


def config(out: Path, **values: Any) -> BuildConfig:
    defaults: dict[str, Any] = {"batch_size": 4, "shard_size": 10, "prefetch": 0, "measure": False}
    options = values.pop("source_options", {"images_per_split": 18})
    captioner = values.pop("captioner", "stubs:Describing")
    return BuildConfig("stubs:Generated", out, options, captioner, **{**defaults, **values})


def counting(log: Path) -> dict[str, Any]:
    return {"captioner": "stubs:Counting", "captioner_options": {"log": str(log)}}


def made(log: Path) -> int:
    """How many captions the counting captioner made."""
    return len(log.read_text(encoding="utf-8").splitlines()) if log.exists() else 0


@pytest.fixture
def no_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """The source's images are gone."""

    def read(self: GeneratedImage) -> bytes:
        raise AssertionError(f"{self.locator} was read")

    monkeypatch.setattr(GeneratedImage, "read", read)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What a fresh build of some configuration gives; each is built once."""
    made: dict[str, dict[str, bytes]] = {}

    def build_once(**values: Any) -> dict[str, bytes]:
        key = json.dumps(values, sort_keys=True)
        if key not in made:
            out = tmp_path_factory.mktemp("fresh") / "out"
            build(config(out, **values))
            made[key] = contents(out)
        return made[key]

    return build_once


@pytest.mark.parametrize("with_images", [True, False])
@pytest.mark.parametrize("change", [HEAD, NUMBERING, {**HEAD, **NUMBERING}])
def test_neither_mask_nor_blind_captioner_reads_an_image(
    tmp_path: Path, fresh: Any, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], with_images: bool
) -> None:
    out = tmp_path / "out"
    build(config(out, with_images=with_images))
    expected = fresh(with_images=with_images, **change)
    assert contents(out) != expected

    def read(self: GeneratedImage) -> bytes:
        raise AssertionError(f"{self.locator} was read")

    with monkeypatch.context() as patched:
        patched.setattr(GeneratedImage, "read", read)
        result = build(config(out, with_images=with_images, recaption=True, **change))
    assert (result.complete, result.errors, result.rows) == (True, {}, {"train": 18, "test": 18, "open": 18})
    assert contents(out) == expected
    left = [path.name for path in (out / ".openmmlo").iterdir()]
    assert "promoting" not in left
    assert not Workspace(out).recaptions()


def test_a_changed_mask_captions_nothing(tmp_path: Path, fresh: Any) -> None:
    out, log = tmp_path / "out", tmp_path / "log"
    build(config(out, **counting(log)))
    assert made(log) == 54
    build(config(out, recaption=True, **counting(log), **HEAD))
    assert made(log) == 54
    build(config(tmp_path / "whole", **counting(log), **HEAD))
    assert contents(out) == contents(tmp_path / "whole")


def test_a_captioner_that_looks_gets_stored_images_where_the_source_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbering says that it is blind; Describing and Counting say nothing, so they look."""
    log = tmp_path / "log"
    build(config(tmp_path / "whole", **counting(log)))
    for name, prefetch in (("a", 0), ("b", 1)):
        out = tmp_path / name
        build(config(out, **NUMBERING))
        with monkeypatch.context() as patched:
            patched.setattr(GeneratedImage, "read", lambda self: (_ for _ in ()).throw(FileNotFoundError()))
            result = build(config(out, recaption=True, prefetch=prefetch, **counting(log)))
        assert result.errors == {}
        assert contents(out) == contents(tmp_path / "whole")


def test_images_that_only_the_source_has_are_held_against_their_digest(tmp_path: Path) -> None:
    folder = tmp_path / "photos" / "cat"
    folder.mkdir(parents=True)
    for index in range(5):
        (folder / f"{index}.jpg").write_bytes(jpeg(index, 40, 30))
    (folder / "4.jpg").write_bytes(b"broken")
    options = {"val": 0, "test": 0}
    job = BuildConfig(
        str(tmp_path / "photos"), tmp_path / "out", options, "stubs:Numbering",
        prefetch=0, with_images=False, measure=False,
    )  # fmt: skip
    assert build(job).errors == {"unreadable": 1}
    (folder / "1.jpg").write_bytes(jpeg(9, 40, 30))
    (folder / "2.jpg").write_bytes(b"broken meanwhile")
    (folder / "4.jpg").write_bytes(jpeg(4, 40, 30))
    result = build(replace(job, captioner="stubs:Describing", recaption=True))
    assert (result.rows, result.errors) == ({"train": 2}, {"changed": 2, "unreadable": 1})
    lines = [json.loads(line) for line in (tmp_path / "out" / "errors.jsonl").read_text().splitlines()]
    assert [(line["sample_id"], line["status"]) for line in lines] == [
        ("cat/1.jpg", "changed"), ("cat/2.jpg", "changed"), ("cat/4.jpg", "unreadable"),
    ]  # fmt: skip
    (folder / "2.jpg").write_bytes(jpeg(2, 40, 30))
    assert build(replace(job, captioner="stubs:Describing", retry=("failed",))).errors == {}


class Holes(Generated):
    """Every tenth image is missing."""

    def samples(self, split: str) -> Any:
        for index, sample in enumerate(super().samples(split)):
            yield replace(sample, problem=Status.MISSING) if index % 10 == 0 else sample

    def check(self, splits: tuple[str, ...] = (), look: bool = True) -> list[Finding]:
        return [Finding("error", "images are missing", "", True)] if look else []


class Picky(Describing):
    """Finds no caption for one label, and looks at pixels."""

    def identity(self) -> dict[str, Any]:
        return {"captioner": "picky", "wanting": 2}

    def prepare(self, sample: Sample, image: Any) -> Any:
        if sample.label == 2:
            raise SampleFailed(Status.NO_CAPTION, "nothing to say")
        return super().prepare(sample, image)


@pytest.mark.parametrize("with_images", [True, False])
def test_error_rows_of_the_source_stay_and_those_of_the_captioner_are_tried_again(
    tmp_path: Path, with_images: bool
) -> None:
    def job(out: str, **values: Any) -> BuildConfig:
        return replace(config(tmp_path / out, with_images=with_images, **values), source=f"{__name__}:Holes")

    picky = {"captioner": f"{__name__}:Picky"}
    first = build(job("out", allow_missing=True, **picky))
    assert first.errors == {"missing": 6, "no-caption": 6}
    # Neither --allow-missing nor an image is needed again, for what is missing is settled.
    assert build(job("out", recaption=True, **picky, **HEAD)).errors == first.errors
    build(job("fresh", allow_missing=True, **picky, **HEAD))
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")
    assert build(job("out", recaption=True, allow_missing=True, **NUMBERING)).errors == {"missing": 6}
    build(job("numbered", allow_missing=True, **NUMBERING))
    assert contents(tmp_path / "out") == contents(tmp_path / "numbered")


def test_retry_with_a_recaption_tries_the_source_again(tmp_path: Path, fresh: Any) -> None:
    job = replace(config(tmp_path / "out", allow_missing=True), source=f"{__name__}:Holes")
    assert build(job).errors == {"missing": 6}
    mended = config(tmp_path / "out", recaption=True, **HEAD)
    assert build(mended).errors == {"missing": 6}
    again = replace(mended, retry=("missing",), captioner="stubs:Numbering")
    assert build(again).errors == {}
    assert contents(tmp_path / "out") == fresh(**HEAD, **NUMBERING)


def test_without_the_word_a_change_is_refused_and_the_word_named(tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(config(out))
    before = contents(out)
    for change in (HEAD, NUMBERING):
        with pytest.raises(BuildRefused, match=r"say --recaption"):
            build(config(out, **change))
    with pytest.raises(BuildRefused, match=r"mix") as refusal:
        build(config(out, with_images=False, **HEAD))
    assert "say --recaption" not in str(refusal.value)
    for change in ({"shard_size": 9}, {"with_images": False}, {"splits": ("train",)}, {"max_pixels": 7}):
        with pytest.raises(BuildRefused, match="--recaption changes captioner, mask level and lexicon alone"):
            build(config(out, recaption=True, **HEAD, **change))
    assert contents(out) == before


def test_a_recaption_of_nothing_is_a_build(tmp_path: Path, fresh: Any) -> None:
    assert build(config(tmp_path / "out", recaption=True)).complete
    assert build(config(tmp_path / "out", recaption=True)).complete
    assert contents(tmp_path / "out") == fresh()


def test_until_it_is_whole_the_old_data_set_stays_and_can_be_gone_back_to(tmp_path: Path, fresh: Any) -> None:
    out, log = tmp_path / "out", tmp_path / "log"
    build(config(out))
    half = build(config(out, recaption=True, shard="1/2", **counting(log)))
    assert not half.complete
    assert contents(out) == fresh()
    assert build(config(out)).complete, "the old configuration is still that of the folder"
    assert build(config(out, recaption=True)).complete
    assert contents(out) == fresh()
    before = made(log)
    other = build(config(out, recaption=True, **NUMBERING))
    assert other.complete, "a second recaption is built beside the first"
    assert contents(out) == fresh(**NUMBERING)
    rest = build(config(out, **counting(log)))
    assert rest.complete, "without the word it goes on, for the recaption has this identity"
    assert made(log) == 54
    assert 0 < before < 54
    build(config(tmp_path / "whole", **counting(tmp_path / "other")))
    assert contents(out) == contents(tmp_path / "whole")


def test_captions_that_were_replaced_are_kept_and_need_not_be_made_again(tmp_path: Path, fresh: Any) -> None:
    out, log = tmp_path / "out", tmp_path / "log"
    build(config(out, **counting(log)))
    whole = contents(out)
    build(config(out, recaption=True, **NUMBERING))
    with pytest.raises(BuildRefused, match="--recaption"):
        build(config(out, **counting(log)))
    build(config(out, recaption=True, **counting(log)))
    assert made(log) == 54
    assert contents(out) == whole
    assert not Workspace(out).kept_captions({"captioner": "counting", "version": "1"}).exists()


@pytest.mark.parametrize("change", [HEAD, NUMBERING])
@pytest.mark.parametrize("with_images", [True, False])
def test_a_begun_build_can_be_recaptioned(
    tmp_path: Path, fresh: Any, change: dict[str, Any], with_images: bool
) -> None:
    class Stop(Exception):
        pass

    class Stopper:
        rows = 0

        def start(self, total: int, done: int) -> None: ...

        def advance(self, rows: int, failed: int) -> None:
            self.rows += rows
            if self.rows > 24:  # within the third shard
                raise Stop

        def say(self, message: str) -> None: ...

        def close(self) -> None: ...

    out = tmp_path / "out"
    with pytest.raises(Stop):
        build(config(out, with_images=with_images), Stopper())
    assert build(config(out, with_images=with_images, recaption=True, **change)).complete
    assert contents(out) == fresh(with_images=with_images, **change)


@pytest.mark.parametrize("change", [HEAD, NUMBERING, {"captioner": "stubs:Counting"}])
def test_slices_and_workers_side_by_side(tmp_path: Path, change: dict[str, Any]) -> None:
    if change.get("captioner") == "stubs:Counting":
        change = counting(tmp_path / "log")
    out = tmp_path / "out"
    build(config(out))
    before = contents(out)
    assert not build(config(out, recaption=True, shard="1/2", workers=2, prefetch=1, **change)).complete
    assert contents(out) == before
    assert build(config(out, recaption=True, shard="2/2", prefetch=1, **change)).complete
    assert build(config(out, shard="1/2", **change)).complete, "the first slice finds it done"
    build(config(tmp_path / "whole", **change))
    assert contents(out) == contents(tmp_path / "whole")


@pytest.mark.parametrize("moves", range(0, 13, 3))
def test_a_promotion_that_is_killed_is_completed_first(
    tmp_path: Path, fresh: Any, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    out = tmp_path / "out"
    build(config(out))
    left = [moves]
    replace_file = Path.replace

    def dying(self: Path, target: Path) -> Path:
        if "promoting" in self.parts:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
        return replace_file(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", dying)
        with pytest.raises(KeyboardInterrupt):
            build(config(out, recaption=True, **HEAD))
    assert Workspace(out).promoting.is_dir()
    assert not (out / "manifest.json").exists(), "while two data sets are mixed, none is there"
    with pytest.raises(BuildRefused, match="--recaption"):
        build(config(out))
    assert not Workspace(out).promoting.is_dir()
    assert build(config(out, **HEAD)).complete
    assert contents(out) == fresh(**HEAD)


def test_nothing_is_promoted_under_another_builder(tmp_path: Path, fresh: Any) -> None:
    out = tmp_path / "out"
    build(config(out))
    with Workspace(out).lock("slice-1-of-4", "held"):
        waiting = build(config(out, recaption=True, **HEAD))
        assert (waiting.complete, waiting.remaining_shards) == (False, 0)
        assert contents(out) == fresh()
    assert build(config(out, **HEAD)).complete
    assert contents(out) == fresh(**HEAD)


def test_a_dry_run_says_what_a_recaption_keeps_and_writes_nothing(tmp_path: Path, fresh: Any, no_images: None) -> None:
    out = tmp_path / "out"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(GeneratedImage, "read", lambda self: jpeg(*map(int, self.locator.split("-")[1:])))
        build(config(out))
    files = sorted(out.rglob("*"))
    plan = plan_build(config(out, recaption=True, **HEAD))
    assert (plan.samples, plan.shards, plan.done_shards) == (54, 6, 0)
    assert [finding.level for finding in plan.findings] == ["ok", "ok"]
    assert "captions stay, masks are made anew; no image is read" in plan.findings[-1].what
    told = plan_build(config(out, recaption=True, **NUMBERING)).findings[-1].what
    assert "captions are made by numbering; no image is read" in told
    assert sorted(out.rglob("*")) == files


def test_what_is_not_needed_need_not_be_there(tmp_path: Path, fresh: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The images' folder is gone and the captioner's device too: masks change all the same."""
    out = tmp_path / "out"
    expected = fresh(**HEAD), fresh(**NUMBERING, **HEAD)  # built before anything is gone, whichever test asked first
    build(config(out))
    gone = [Finding("error", "there is no folder of images")]
    broken = [Finding("error", "there is no GPU")]
    monkeypatch.setattr(Generated, "check", lambda self, splits=(), look=True: gone)
    monkeypatch.setattr(Describing, "check", lambda self: broken)
    assert build(config(out, recaption=True, **HEAD)).complete
    assert contents(out) == expected[0]
    with pytest.raises(DataError, match="no GPU"):
        build(config(out, recaption=True, **NUMBERING))
    monkeypatch.setattr(Describing, "check", lambda self: [])
    assert build(config(out, recaption=True, **NUMBERING, **HEAD)).complete
    assert contents(out) == expected[1]
    with pytest.raises(DataError, match="no folder of images"):
        build(config(out, retry=("failed",), **NUMBERING, **HEAD))


def test_versions_that_captions_were_made_on_stay_in_the_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr("openmmlo.building.finish.versions", lambda: {"torch": "2.8"})
        build(config(out))
    with monkeypatch.context() as patched:
        patched.setattr("openmmlo.building.finish.versions", lambda: {"torch": "2.9"})
        build(config(out, recaption=True, **HEAD))
        assert json.loads((out / "manifest.json").read_bytes())["versions"] == {"torch": "2.8, 2.9"}
        build(config(out, recaption=True, **NUMBERING))
        assert json.loads((out / "manifest.json").read_bytes())["versions"] == {"torch": "2.9"}


def test_a_blind_captioner_says_so(tmp_path: Path) -> None:
    from openmmlo.building.captioners import CAPTIONERS, reads_images

    assert reads_images(Describing())
    assert not reads_images(Numbering())
    blind = {name for name in CAPTIONERS if getattr(CAPTIONERS.load(name), "reads_images", True) is False}
    assert blind == {"existing", "scene"}
    assert promotion.complete_promotion(Workspace(tmp_path)) is None
