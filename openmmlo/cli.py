"""The command line: words come in, one call into a room goes out, and its result becomes text or JSON.

Every command only calls what the Python API offers. Rooms are imported inside the commands, so that
``openmmlo --help`` answers at once.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from openmmlo import __version__, cli_data, cli_eval, cli_experiments, cli_leaderboard, cli_train
from openmmlo import cli_options as option
from openmmlo.errors import ConfigError, OpenmmloError, UnknownName

if TYPE_CHECKING:
    from openmmlo.records import Finding

DONE, INTERNAL_ERROR, BAD_INPUT, SAMPLES_FAILED, CHECK_FAILED, STOPPED = 0, 1, 2, 3, 4, 130

app = typer.Typer(
    name="openmmlo",
    help="Build captioned, masked long-tailed data sets; train and benchmark models on them. "
    "Exit codes: 0 done, 1 internal error, 2 bad input, 3 finished with failed samples, 4 a check failed, 130 stopped.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
lists_app = typer.Typer(help="Fetch or check the official image lists.", rich_markup_mode=None, no_args_is_help=True)
app.add_typer(lists_app, name="lists")
app.add_typer(cli_data.wordnet_app, name="wordnet")
app.add_typer(cli_data.lexicon_app, name="lexicon")
app.add_typer(cli_experiments.experiments_app, name="experiments")
app.add_typer(cli_leaderboard.leaderboard_app, name="leaderboard")


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"openmmlo {__version__}")
        raise typer.Exit


@app.callback()
def _openmmlo(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None: ...


@app.command(cls=option.Sectioned)
def build(
    source: option.SourceOrRecipe = None,
    out: option.Out = None,
    images: option.Images = None,
    lists: option.Lists = None,
    open_images: option.OpenImages = None,
    split: option.Split = None,
    captioner: option.Captioner = None,
    model: option.Model = None,
    revision: option.Revision = None,
    preset: option.Preset = None,
    prompt: option.Prompt = None,
    dtype: option.Dtype = None,
    device: option.Device = None,
    captions: option.Captions = None,
    column: option.Column = None,
    mask_level: option.MaskLevel = None,
    lexicon: option.Lexicon = None,
    batch_size: option.BatchSize = None,
    workers: option.Workers = None,
    prefetch: option.Prefetch = None,
    shard: option.Slice = None,
    shard_size: option.ShardSize = None,
    limit: option.Limit = None,
    retry: option.Retry = None,
    recaption: option.Recaption = False,
    measure: option.Measure = None,
    max_pixels: option.MaxPixels = None,
    with_images: option.WithImages = None,
    allow_missing: option.AllowMissing = False,
    follow_links: option.FollowLinks = False,
    longtail: option.Longtail = None,
    ratio: option.Ratio = None,
    splits: option.SplitsFile = None,
    classes: option.Classes = None,
    seed: option.Seed = None,
    recipe: option.Recipe = None,
    assignments: option.Assignments = None,
    dry_run: option.DryRun = False,
    quiet: option.Quiet = False,
    json: option.Json = False,
    debug: option.Debug = False,
) -> int:
    """Caption and mask the images of SOURCE; write a data set."""
    from openmmlo import building, terminal
    from openmmlo.config import construct, load_recipe

    assigned_source, assigned_captioner = option.assigned(assignments)
    values = option.override(
        load_recipe("building", recipe) if recipe else {},
        option.given(
            source=source, out=out, splits=split, captioner=captioner, mask_level=mask_level, lexicon=lexicon,
            batch_size=batch_size, workers=workers, prefetch=prefetch, shard=shard, shard_size=shard_size,
            limit=limit, retry=retry, recaption=option.switched(recaption), measure=measure, max_pixels=max_pixels,
            with_images=with_images, allow_missing=option.switched(allow_missing),
        ),
        option.given(
            images=images, lists=lists, open_images=open_images, longtail=longtail, ratio=ratio, splits_file=splits,
            classes=classes, seed=seed, follow_links=option.switched(follow_links),
        ) | assigned_source,
        option.given(
            model=model, revision=revision, preset=preset, prompt=prompt, dtype=dtype, device=device,
            captions=captions, column=column,
        ) | assigned_captioner,
    )  # fmt: skip
    for key, wish in (("source", "a SOURCE (openmmlo list sources) or a --recipe"), ("out", "--out DIR")):
        if key not in values:
            raise ConfigError(f"openmmlo build needs {wish}.")
    config = construct(building.BuildConfig, values, f"recipe {recipe}" if recipe else "openmmlo build")

    if dry_run:
        plan = building.plan_build(config)
        terminal.show_json(plan) if json else terminal.show_plan(plan)
        return DONE if plan.fingerprint else BAD_INPUT
    result = building.build(config, None if quiet else terminal.ProgressBar())
    terminal.show_json(result) if json else terminal.show_result(result)
    if result.measured and result.measured.failed:
        return INTERNAL_ERROR
    return SAMPLES_FAILED if sum(result.errors.values()) else DONE


@app.command()
def check(
    source: option.Source,
    images: option.Images = None,
    lists: option.Lists = None,
    open_images: option.OpenImages = None,
    split: option.Split = None,
    follow_links: option.FollowLinks = False,
    longtail: option.Longtail = None,
    ratio: option.Ratio = None,
    splits: option.SplitsFile = None,
    classes: option.Classes = None,
    seed: option.Seed = None,
    assignments: option.Assignments = None,
    json: option.Json = False,
    debug: option.Debug = False,
) -> int:
    """Say what SOURCE finds and misses, before any work."""
    from openmmlo import sources

    options = option.given(
        images=images, lists=lists, open_images=open_images, longtail=longtail, ratio=ratio, splits_file=splits,
        classes=classes, seed=seed, follow_links=option.switched(follow_links),
    )  # fmt: skip
    findings = sources.check(source, options | option.assigned(assignments)[0], tuple(split or ()))
    return _report(findings, json, CHECK_FAILED)


@app.command("list")
def list_names(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="[sources|captioners|recipes|pretraining|finetuning|benchmarks|models|detectors|classifiers|metrics]",
            show_default=False,
        ),
    ] = None,
    json: option.Json = False,
    debug: option.Debug = False,
) -> int:
    """Known sources, captioners, recipes, benchmarks, models, detectors ... each with a phrase."""
    from openmmlo import terminal
    from openmmlo.building.captioners import CAPTIONERS
    from openmmlo.config import describe_recipe, recipe_names
    from openmmlo.evaluate.benchmark import benchmark_names, load_benchmark
    from openmmlo.evaluate.classifiers import CLASSIFIERS
    from openmmlo.evaluate.detectors import DETECTORS
    from openmmlo.evaluate.metrics import METRICS
    from openmmlo.models.opening import MODELS
    from openmmlo.sources import SOURCES

    catalogs = {
        "sources": SOURCES, "captioners": CAPTIONERS, "models": MODELS, "detectors": DETECTORS,
        "classifiers": CLASSIFIERS, "metrics": METRICS,
    }  # fmt: skip
    tables: dict[str, Callable[[], dict[str, str]]] = (
        {
            name: lambda catalog=catalog: {entry: catalog.describe(entry) for entry in catalog}
            for name, catalog in catalogs.items()
        }
        | {
            "benchmarks": lambda: {name: load_benchmark(name).title for name in benchmark_names()},
        }
        | {
            heading: lambda kind=kind: {name: describe_recipe(kind, name) for name in recipe_names(kind)}
            for heading, kind in (("recipes", "building"), ("pretraining", "pretrain"), ("finetuning", "finetune"))
        }
    )
    if kind is not None and kind not in tables:
        raise UnknownName("table", kind, tables)
    described = {name: describe() for name, describe in tables.items() if kind in (None, name)}
    terminal.show_json(described) if json else terminal.show_tables(described)
    return DONE


for command in (
    cli_data.stats, cli_data.quality, cli_data.audit, cli_data.report, cli_data.verify, cli_data.push, cli_data.pull,
):  # fmt: skip
    app.command()(command)
app.command("eval", cls=cli_eval.Evaluating)(cli_eval.evaluate)
app.command(cls=cli_train.Training)(cli_train.pretrain)
app.command(cls=cli_train.Training)(cli_train.finetune)
app.command()(cli_eval.score)
app.command()(cli_eval.compare)
app.command(cls=cli_leaderboard.Submitting)(cli_leaderboard.submit)


@app.command()
def doctor(json: option.Json = False, debug: option.Debug = False) -> int:
    """Look over this machine; each finding with its remedy."""
    from openmmlo.doctor import examine

    return _report(examine(), json, CHECK_FAILED)


@lists_app.command("get")
def lists_get(
    name: Annotated[str, typer.Argument(metavar="NAME", help="imagenet-lt, places-lt or inaturalist2018.")],
    to: Annotated[Path | None, typer.Option(metavar="DIR", help="Default: the folder OPENMMLO_DATA/lists.")] = None,
    json: option.Json = False,
    debug: option.Debug = False,
) -> int:
    """Fetch official lists from where their authors publish them."""
    from openmmlo.sources import official_lists

    if name not in official_lists.known():
        raise UnknownName("official lists", name, official_lists.known())
    return _report(official_lists.get(name, _lists_folder(to)), json, CHECK_FAILED)


@lists_app.command("check")
def lists_check(
    folder: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="Default: OPENMMLO_DATA/lists.")] = None,
    json: option.Json = False,
    debug: option.Debug = False,
) -> int:
    """Compare the official lists in a folder with what they are known to hold."""
    from openmmlo.sources import official_lists

    return _report(official_lists.check_lists(_lists_folder(folder)), json, CHECK_FAILED)


def _lists_folder(folder: Path | None) -> Path:
    from openmmlo.sources import data_root

    if folder is not None:
        return folder
    root = data_root()
    if root is None:
        raise ConfigError(
            "Which folder? Name it (lists get: --to DIR; lists check: DIR), or set OPENMMLO_DATA: "
            "lists lie in its folder 'lists'."
        )
    return root / "lists"


def _report(findings: Sequence[Finding], json: bool, code: int) -> int:
    """Show findings; ``code`` where one of them is an error."""
    from openmmlo import terminal

    failed = any(finding.level == "error" for finding in findings)
    terminal.show_json({"ok": not failed, "findings": findings}) if json else terminal.show_findings(findings)
    return code if failed else DONE


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; a user's mistake gives a message, not a traceback."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug, json = "--debug" in words, "--json" in words
    try:
        with _termination_as_interrupt():
            code = _run(words)
            sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        code = STOPPED
    except BrokenPipeError as error:
        if not _from_printing(error):
            return _fail(f"internal error: {error!r}.", INTERNAL_ERROR, json)
        # Whoever read the output has seen enough; without this Python complains once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except OpenmmloError as error:
        if debug:
            traceback.print_exc()
        return _fail(str(error), error.exit_code, json)
    except Exception as error:
        if hasattr(error, "show") and hasattr(error, "format_message"):  # a usage error, of click's or typer's class
            error.show()
            return _fail(error.format_message(), BAD_INPUT, json, shown=True)
        if debug:
            traceback.print_exc()
        what = " ".join(f"{type(error).__name__}: {error}".split())
        hint = "" if debug else " Run it again with --debug, and report it with the traceback that gives."
        return _fail(f"internal error: {what}.{hint}", INTERNAL_ERROR, json)
    return _fail("stopped; run the same command to go on", STOPPED, json) if code == STOPPED else code


def _from_printing(error: BrokenPipeError) -> bool:
    """Whether a pipe broke while something was printed here or in click, not while a build or training was at work."""
    trace = error.__traceback__
    while trace is not None:
        place = Path(trace.tb_frame.f_code.co_filename).as_posix()
        if "openmmlo/building/" in place or "openmmlo/train/" in place:
            return False
        trace = trace.tb_next
    return True


def _run(words: list[str]) -> int:
    try:
        code = app(args=words, prog_name="openmmlo", standalone_mode=False)
    except SystemExit as stop:  # typer's own way to end when nobody reads the output any more
        if isinstance(stop.__context__, BrokenPipeError):
            raise stop.__context__ from None
        code = stop.code
    return code if isinstance(code, int) else DONE


def _fail(message: str, code: int, json: bool, shown: bool = False) -> int:
    """Say on stderr why there is no result, and in JSON on stdout where a script waits for that."""
    if not shown:
        typer.echo(f"openmmlo: {message}", err=True)
    if json:
        from openmmlo import terminal

        terminal.show_json({"error": message, "exit_code": code})
    return code


@contextmanager
def _termination_as_interrupt() -> Iterator[None]:
    """SIGTERM stops a command as Ctrl-C does, so that locks are released and the last message is the same."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    owner = os.getpid()

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:  # a forked worker inherits this handler, but dies of the signal as usual
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
