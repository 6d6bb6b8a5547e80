"""The command line as a person and a script meet it: words in, exit code, stdout and stderr out."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openmmlo import building, doctor, sources
from openmmlo.building import BuildConfig, BuildResult, PlanSummary
from openmmlo.building.configuration import Measured
from openmmlo.cli import main
from openmmlo.cli_options import SECTIONS, override
from openmmlo.errors import BuildRefused, ConfigError, WorkerDied
from openmmlo.records import Finding
from openmmlo.terminal import ProgressBar, duration

TESTS = Path(__file__).parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)])}
STUBS = ["stubs:Generated", "--captioner", "stubs:Describing", "--no-measure"]

Captured = pytest.CaptureFixture[str]


def result(out: Path = Path("out"), **changes: Any) -> BuildResult:
    values: dict[str, Any] = {
        "out": out, "complete": True, "planned": 12, "rows": {"train": 10, "test": 2}, "errors": {}, "seconds": 4.0,
        "images_per_second": 3.0, "remaining_shards": 0, "fingerprint": "f" * 64, "halved_batches": 0,
    }  # fmt: skip
    return BuildResult(**(values | changes))


@pytest.fixture
def configs(monkeypatch: pytest.MonkeyPatch) -> list[BuildConfig]:
    """Configurations that builds were asked for, in place of building."""
    asked: list[BuildConfig] = []

    def build(config: BuildConfig, progress: object = None) -> BuildResult:
        asked.append(config)
        return result(config.out)

    monkeypatch.setattr(building, "build", build, raising=False)
    return asked


def failing(error: BaseException) -> Callable[..., BuildResult]:
    def build(config: BuildConfig, progress: object = None) -> BuildResult:
        raise error

    return build


def run(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "openmmlo", *words], capture_output=True, text=True, env=ENVIRONMENT, **options
    )


# What the words become


def test_only_given_flags_are_set(configs: list[BuildConfig]) -> None:
    assert main(["build", "places-lt", "--out", "there"]) == 0
    assert configs == [BuildConfig("places-lt", Path("there"))]


def test_every_flag_reaches_the_configuration(configs: list[BuildConfig]) -> None:
    words = """build photos --out there --split train --split test --captioner instructblip --mask-level strict
        --batch-size 8 --workers 2 --prefetch 0 --shard 2/3 --shard-size 100 --limit 50 --retry missing
        --retry captioner --max-pixels 1000 --without-images --allow-missing --recaption --no-measure
        --images a --lists b --open-images o --longtail 50 --ratio 10 --splits s.csv --classes c.csv --seed 7
        --follow-links --model org/name --revision abc --preset lavis --prompt why? --dtype float32 --device cpu
        --captions d.csv --column text --set captioner.num_beams=3 --set labels=species"""
    assert main(words.split()) == 0
    assert configs == [
        BuildConfig(
            source="photos",
            out=Path("there"),
            splits=("train", "test"),
            captioner="instructblip",
            batch_size=8,
            workers=2,
            prefetch=0,
            shard="2/3",
            shard_size=100,
            limit=50,
            retry=("missing", "captioner"),
            recaption=True,
            measure=False,
            max_pixels=1000,
            with_images=False,
            allow_missing=True,
            source_options={
                "images": Path("a"), "lists": Path("b"), "open_images": Path("o"), "longtail": 50.0, "ratio": 10.0,
                "splits_file": Path("s.csv"), "classes": Path("c.csv"), "seed": 7, "follow_links": True,
                "labels": "species",
            },
            captioner_options={
                "model": "org/name", "revision": "abc", "preset": "lavis", "prompt": "why?", "dtype": "float32",
                "device": "cpu", "captions": Path("d.csv"), "column": "text", "num_beams": 3,
            },
        )
    ]  # fmt: skip


def test_flags_override_a_recipe(configs: list[BuildConfig], tmp_path: Path) -> None:
    recipe = tmp_path / "own.yaml"
    recipe.write_text(
        "source: cifar100-lt\nsource_options: {ratio: 100, seed: 3}\ncaptioner: instructblip\n"
        "captioner_options: {preset: lavis}\nbatch_size: 4\nout: here\n",
        encoding="utf-8",
    )
    assert main(["build", "--recipe", str(recipe)]) == 0
    assert main(["build", "--recipe", str(recipe), "--out", "there", "--ratio", "10", "--batch-size", "2"]) == 0
    assert configs[0].out == Path("here")
    assert configs[0].source_options == {"ratio": 100, "seed": 3}
    assert configs[1].out == Path("there")
    assert configs[1].source_options == {"ratio": 10.0, "seed": 3}
    assert (configs[1].batch_size, configs[1].captioner_options) == (2, {"preset": "lavis"})


def test_options_of_a_recipes_source_stay_with_that_source() -> None:
    recipe = {"source": "a", "source_options": {"x": 1}, "captioner": "b", "captioner_options": {"y": 2}}
    other = override(recipe, {"source": "c"}, {"z": 3}, {})
    assert other == recipe | {"source": "c", "source_options": {"z": 3}}
    assert override(recipe, {"source": "a"}, {}, {}) == recipe
    with pytest.raises(ConfigError, match="source_options is 'x'; expected a mapping"):
        override({"source_options": "x"}, {}, {}, {})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("build", "openmmlo build needs a SOURCE (openmmlo list sources) or a --recipe."),
        ("build places-lt", "openmmlo build needs --out DIR."),
        ("build places-lt --out o --set ratio", "--set takes key=value; got 'ratio'."),
        ("build --recipe nowhere --out o", "No building recipe named 'nowhere'."),
        ("build plases-lt --out o", "No source named 'plases-lt'. Did you mean 'places-lt'?"),
        ("build places-lt --out o --shard 3/2", "--shard is '3/2'; expected i/n with 1 <= i <= n"),
        ("build places-lt --out o --mask-level wide", "mask_level is 'wide'; expected one of 'strict'"),
        ("build places-lt --out o --retry faild", "Did you mean 'failed'?"),
        ("build miniature --out o --captioner scena", "No captioner named 'scena'. Did you mean 'scene'?"),
        ("build miniature --out o --images photos", "source miniature takes no 'images'."),
        ("build miniature --out o --split tests", "Did you mean 'test'?"),
        ("check plases-lt", "Did you mean 'places-lt'?"),
        ("list source", "No table named 'source'. Did you mean 'sources'?"),
        ("lists check", "Which folder? Name it (lists get: --to DIR; lists check: DIR), or set OPENMMLO_DATA"),
        ("lists get imagenet --to somewhere", "Did you mean 'imagenet-lt'?"),
    ],
)
def test_a_mistake_gets_a_message_and_no_traceback(
    words: str, message: str, capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words.split()) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert said.err.startswith("openmmlo: ")
    assert "Traceback" not in said.err
    assert said.out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["bild"], ["build", "--batch-size", "many"], ["build", "--nonsense"], ["check"]])
def test_usage_errors_name_the_way_out(words: list[str], capsys: Captured) -> None:
    assert main(words) == 2
    assert "openmmlo" in capsys.readouterr().err
    assert main([*words, "--json"]) == 2
    said = json.loads(capsys.readouterr().out)
    assert said["exit_code"] == 2
    assert said["error"]


# How it ends


def test_summary_says_what_was_built_and_how_to_load_it(configs: list[BuildConfig], capsys: Captured) -> None:
    assert main(["build", "miniature", "--out", "there"]) == 0
    said = capsys.readouterr().out
    assert "train                   10 rows" in said
    assert 'datasets.load_dataset("there", "masked")' in said


def test_failed_samples_end_with_3_and_point_to_the_errors(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    ended = result(errors={"unreadable": 3, "missing": 1}, halved_batches=2)
    monkeypatch.setattr(building, "build", lambda config, progress: ended, raising=False)
    assert main(["build", "miniature", "--out", "out"]) == 3
    said = capsys.readouterr().out
    assert "unreadable               3 failed" in said
    assert "out/errors.jsonl" in said
    assert "--retry failed" in said
    assert "2 batches were halved" in said


def test_a_slice_says_what_is_left(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    ended = result(complete=False, remaining_shards=5, errors={"missing": 1})
    monkeypatch.setattr(building, "build", lambda config, progress: ended, raising=False)
    assert main(["build", "miniature", "--out", "out", "--shard", "1/2"]) == 3
    said = capsys.readouterr().out
    assert "5 shards are left" in said
    assert "load_dataset" not in said
    assert "out/errors.jsonl" not in said


def test_mask_rates_leaks_and_the_report_are_shown(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    masks = {"id": {"rows": 400, "masked": 300}, "ood": {"rows": 8, "masked": 1}}
    ended = result(masks=masks, measured=Measured(0.0225, Path("out/report.html")))
    monkeypatch.setattr(building, "build", lambda config, progress: ended, raising=False)
    assert main(["build", "miniature", "--out", "out"]) == 0
    said = capsys.readouterr().out
    assert "with a mask: 75.0 % of 400 in distribution, 12.5 % of 8 out of distribution." in said
    assert "still give their class away: 2.2 %" in said
    assert "Look at it: out/report.html" in said
    ended = result(masks={"id": {"rows": 4, "masked": 3}, "ood": {"rows": 0, "masked": 0}})
    assert main(["build", "miniature", "--out", "out"]) == 0
    assert "75.0 % of 4 in distribution, none are out of distribution." in capsys.readouterr().out


def test_a_measure_that_failed_is_told_with_its_command(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    ended = result(errors={"missing": 1}, measured=Measured(failed={"audit": "no lexicon", "card": "x"}))
    monkeypatch.setattr(building, "build", lambda config, progress: ended, raising=False)
    assert main(["build", "miniature", "--out", "out"]) == 1
    said = capsys.readouterr().out
    assert "audit failed: no lexicon\n" in said
    assert "To try again: openmmlo audit out\n" in said
    assert "To try again: the same command\n" in said


def test_a_recaption_that_waits_for_another_builder_says_so(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    ended = result(complete=False)
    monkeypatch.setattr(building, "build", lambda config, progress: ended, raising=False)
    assert main(["build", "miniature", "--out", "out", "--recaption"]) == 0
    assert "another process is still at work in out" in capsys.readouterr().out


def test_the_help_of_build_has_every_option_under_a_heading(capsys: Captured) -> None:
    assert main(["build", "--help"]) == 0
    said = capsys.readouterr().out
    sections = {part.split(":\n")[0]: part for part in said.split("\n\n") if ":\n" in part}
    assert list(sections)[1:-1] == list(SECTIONS)
    assert re.findall(r"^  (-\S+)", sections["Other"], re.MULTILINE) == ["--quiet", "--json", "--debug", "-h,"]
    assert "--mask-level" in sections["Masks"]
    assert all(said.count(f"\n  --{name}") == 1 for name in ("out", "recaption", "recipe", "set", "classes"))


@pytest.mark.parametrize(("error", "code"), [(BuildRefused("taken"), 2), (WorkerDied("gone"), 1)])
def test_errors_end_with_their_code(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr(building, "build", failing(error), raising=False)
    assert main(["build", "miniature", "--out", "out"]) == code
    assert capsys.readouterr().err == f"openmmlo: {error}\n"
    assert main(["build", "miniature", "--out", "out", "--json"]) == code
    assert json.loads(capsys.readouterr().out) == {"error": str(error), "exit_code": code}
    assert main(["build", "miniature", "--out", "out", "--debug"]) == code
    assert "Traceback" in capsys.readouterr().err


def test_an_unexpected_error_is_one_line_unless_debug_asks_for_more(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr(building, "build", failing(KeyError("two\nlines")), raising=False)
    assert main(["build", "miniature", "--out", "out"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("openmmlo: internal error: KeyError: ")
    assert "--debug" in said
    assert main(["build", "miniature", "--out", "out", "--debug"]) == 1
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "Run it again" not in said


def test_an_interrupt_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setattr(building, "build", failing(KeyboardInterrupt()), raising=False)
    assert main(["build", "miniature", "--out", "out"]) == 130
    assert capsys.readouterr().err.strip() == "openmmlo: stopped; run the same command to go on"


def test_termination_is_treated_as_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(config: BuildConfig, progress: object = None) -> BuildResult:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
        return result()

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(building, "build", build, raising=False)
    assert main(["build", "miniature", "--out", "out"]) == 130
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_reader_that_went_away_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "openmmlo", "list", "recipes"], stdout=closed, stderr=subprocess.PIPE, text=True,
            env=ENVIRONMENT, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_version(capsys: Captured) -> None:
    from openmmlo import __version__

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"openmmlo {__version__}\n"


# check, list, doctor, lists


def test_check_shows_findings_with_remedies(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    asked: list[Any] = []
    findings = [Finding("error", "no images", "put them there"), Finding("ok", "lists found")]

    def check(name: str, options: dict[str, Any], splits: tuple[str, ...]) -> list[Finding]:
        asked.append((name, options, splits))
        return findings

    monkeypatch.setattr(sources, "check", check)
    words = ["check", "places-lt", "--images", "a", "--split", "val", "--set", "labels=species"]
    assert main(words) == 4
    assert asked == [("places-lt", {"images": Path("a"), "labels": "species"}, ("val",))]
    assert capsys.readouterr().out == "ok      lists found\nerror   no images\n        -> put them there\n"
    assert main([*words, "--json"]) == 4
    assert json.loads(capsys.readouterr().out) == {
        "ok": False,
        "findings": [
            {"level": "error", "what": "no images", "remedy": "put them there", "allowable": False},
            {"level": "ok", "what": "lists found", "remedy": "", "allowable": False},
        ],
    }
    findings.pop(0)
    assert main(words) == 0


def test_list_names_every_entry_with_a_phrase(capsys: Captured) -> None:
    assert main(["list"]) == 0
    said = capsys.readouterr().out
    for name in [*sources.SOURCES, "instructblip", "existing", "scene", "image-text-to-text"]:
        assert f"\n  {name}  " in said
    assert main(["list", "recipes", "--json"]) == 0
    tables = json.loads(capsys.readouterr().out)
    assert list(tables) == ["recipes"]
    assert set(tables["recipes"]) >= {"miniature", "imagenet-lt"}
    assert all(tables["recipes"].values())


@pytest.mark.parametrize(("level", "code"), [("ok", 0), ("warning", 0), ("error", 4)])
def test_doctor_fails_only_where_something_must_be_mended(
    level: Any, code: int, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr(doctor, "examine", lambda: [Finding(level, "seen", "mend it")])
    assert main(["doctor"]) == code
    assert main(["doctor", "--json"]) == code
    assert "-> mend it" in capsys.readouterr().out


def test_lists_lie_under_the_data_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from openmmlo.sources import official_lists

    asked: list[Any] = []
    monkeypatch.setattr(official_lists, "get", lambda name, to: asked.append((name, to)) or [])
    monkeypatch.setattr(official_lists, "check_lists", lambda folder: asked.append(folder) or [])
    assert main(["lists", "get", "places-lt", "--to", "here"]) == 0
    assert main(["lists", "check", "there"]) == 0
    monkeypatch.setenv("OPENMMLO_DATA", str(tmp_path))
    assert main(["lists", "get", "places-lt"]) == 0
    assert main(["lists", "check"]) == 0
    assert asked == [("places-lt", Path("here")), Path("there"), ("places-lt", tmp_path / "lists"), tmp_path / "lists"]


def test_shell_completion_knows_sources_and_recipes() -> None:
    asked = {**ENVIRONMENT, "_OPENMMLO_COMPLETE": "complete_bash", "COMP_CWORD": "2"}
    done = subprocess.run(
        [sys.executable, "-m", "openmmlo"], env=asked | {"COMP_WORDS": "openmmlo build pl"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "places-lt" in done.stdout.split()
    done = subprocess.run(
        [sys.executable, "-m", "openmmlo"],
        env=asked | {"COMP_WORDS": "openmmlo build --recipe imagenet", "COMP_CWORD": "3"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "imagenet-lt" in done.stdout.split()


# Progress


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


def test_progress_off_a_terminal_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, stream = Clock(monkeypatch), io.StringIO()
    bar = ProgressBar(stream, seconds=30)
    bar.start(1100, 100)
    for _ in range(10):
        clock.now += 10
        bar.advance(50, 1)
    bar.say("a word")
    bar.close()
    assert stream.getvalue().splitlines() == [
        "250 of 1,100 images, 5.0 images/s, 3 failed, 3 min left",
        "400 of 1,100 images, 5.0 images/s, 6 failed, 2 min left",
        "550 of 1,100 images, 5.0 images/s, 9 failed, 2 min left",
        "a word",
        "600 of 1,100 images, 5.0 images/s, 10 failed, 2 min left",
    ]


def test_progress_on_a_terminal_is_a_bar() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    bar = ProgressBar(stream)
    bar.start(200, 100)
    bar.advance(100, 7)
    bar.say("a word")
    bar.close()
    said = stream.getvalue()
    assert "200/200" in said
    assert "failed=7" in said
    assert "a word\n" in said


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (89, "89 s"), (90, "2 min"), (3540, "59 min"), (12000, "3 h 20 min")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


# The real engine behind the words


@pytest.mark.slow
def test_dry_run_writes_nothing(tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(TESTS)
    out = tmp_path / "out"
    words = ["build", *STUBS, "--out", str(out), "--dry-run", "--shard-size", "25"]
    assert main(words) == 0
    assert "180 images, 0 of 9 shards done" in capsys.readouterr().out
    assert main([*words, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["splits"] == {"train": 60, "test": 60, "open": 60}
    assert set(plan) == set(PlanSummary.__dataclass_fields__)
    assert not out.exists()


@pytest.mark.slow
def test_a_stopped_build_goes_on_and_answers_in_json(tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["build", *STUBS, "--out", str(out), "--batch-size", "4", "--json"]
    words += ["--set", "captioner.seconds=0.2", "--set", "images_per_split=24"]
    started = subprocess.Popen(
        [sys.executable, "-m", "openmmlo", *words], env=ENVIRONMENT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not any((out / ".openmmlo" / "journals").glob("*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    started.terminate()
    said, complaint = started.communicate(timeout=60)
    assert started.returncode == 130, complaint
    assert json.loads(said)["exit_code"] == 130
    assert "stopped; run the same command to go on" in complaint
    assert "Traceback" not in complaint

    done = run(*words, check=False)
    assert done.returncode == 0, done.stderr
    ended = json.loads(done.stdout)
    assert ended["complete"] is True
    assert ended["rows"] == {"train": 24, "test": 24, "open": 24}
    assert Path(ended["out"]) == out


@pytest.mark.slow
def test_failed_images_end_with_3_and_can_be_retried(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    words = ["build", "stubs:Generated", "--captioner", "stubs:Broken", "--set", f"captioner.flag={flag}"]
    words += ["--out", str(tmp_path / "out"), "--split", "test", "--no-measure"]
    done = run(*words, check=False)
    assert done.returncode == 3, done.stderr
    assert "no-caption              15 failed" in done.stdout
    errors = [json.loads(line) for line in (tmp_path / "out" / "errors.jsonl").read_text().splitlines()]
    assert len(errors) == 15
    flag.unlink()
    done = run(*words, "--retry", "no-caption", check=False)
    assert done.returncode == 0, done.stderr
    assert "60 rows" in done.stdout
