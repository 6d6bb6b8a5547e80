"""Commands on built data sets: measure one, look at it, check it, publish it; and the words masks are made of.

Like every command they only call what the Python API offers; cli.py hangs them into ``openmmlo``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openmmlo import cli_options as option

wordnet_app = typer.Typer(help="Bring WordNet 3.0.", rich_markup_mode=None, no_args_is_help=True)
lexicon_app = typer.Typer(help="Make frozen mask lexicons.", rich_markup_mode=None, no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder that openmmlo build --out named.")]


def stats(folder: Folder, json: option.Json = False, quiet: option.Quiet = False, debug: option.Debug = False) -> int:
    """Count classes and words of a built data set: how long its tails are."""
    from openmmlo import terminal
    from openmmlo.building.measures import measure

    found = measure.stats(folder, None if quiet else terminal.ProgressBar(unit="captions"))
    terminal.show_json(found) if json else terminal.show_statistics(found, folder / "stats.json")
    return 0


def audit(
    folder: Folder,
    level: Annotated[
        str | None,
        typer.Option(metavar="strict|head|hypernym", help="Judge masks of this level instead; nothing is written."),
    ] = None,
    split: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this split; repeatable.")] = None,
    fail_above: Annotated[
        list[str] | None,
        typer.Option(metavar="[KIND=]X", help="Exit with 4 where more of the masked captions leak; repeatable."),
    ] = None,
    json: option.Json = False,
    quiet: option.Quiet = False,
    debug: option.Debug = False,
) -> int:
    """Say what of its own class a masked caption still gives away."""
    from openmmlo import terminal
    from openmmlo.building.measures import measure
    from openmmlo.building.measures.audit import exceeded, parse_limits
    from openmmlo.data import open_dataset

    limits = parse_limits(fail_above or ())
    dataset, progress = open_dataset(folder), None if quiet else terminal.ProgressBar(unit="captions")
    own = not split and level in (None, dataset.manifest["masking"]["level"])
    found = measure.audit(folder, level, split or (), progress)
    above = exceeded(found, limits)
    if json:
        terminal.show_json(found | ({"above": [line._asdict() for line in above]} if limits else {}))
    else:
        terminal.show_audit(found, folder / "audit.json" if own else None)
    for line in above:
        typer.echo(f"openmmlo audit: {line}", err=True)
    return 4 if above else 0


_TOKENIZER = "clip, siglip, bert, or any of transformers: Hub name or folder; auto: those on this machine."


def quality(
    folder: Folder,
    tokenizer: Annotated[str, typer.Option(metavar="NAME|DIR", help=_TOKENIZER)] = "auto",
    tokens: Annotated[int | None, typer.Option(metavar="N", help="How many tokens its text encoder reads.")] = None,
    json: option.Json = False,
    quiet: option.Quiet = False,
    debug: option.Debug = False,
) -> int:
    """Look over the captions of a built data set: length, truncation, repetition, refusals, copies."""
    from openmmlo import terminal
    from openmmlo.building.measures import measure

    progress = None if quiet else terminal.ProgressBar(unit="captions")
    found = measure.quality(folder, tokenizer, progress, tokens=tokens)
    terminal.show_json(found) if json else terminal.show_quality(found, folder / "quality.json")
    return 0


def report(
    folder: Folder,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="The page; default: DIR/report.html.")] = None,
    json: option.Json = False,
    quiet: option.Quiet = False,
    debug: option.Debug = False,
) -> int:
    """Draw a built data set on one page that opens offline."""
    from openmmlo import terminal
    from openmmlo.building.measures import measure
    from openmmlo.data import open_dataset

    page = measure.report(folder, out, None if quiet else terminal.ProgressBar())
    missing = [name for name, value in measure.load_measures(open_dataset(folder)).items() if value is None]
    found = {"report": page, "bytes": page.stat().st_size, "missing": missing}
    terminal.show_json(found) if json else terminal.show_report(page, missing, folder)
    return 0


Repo = Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The data set's name on the Hub.")]


def verify(
    folder: Folder,
    deep: Annotated[bool, typer.Option("--deep", help="Decode every image, not its header alone.")] = False,
    json: option.Json = False,
    quiet: option.Quiet = False,
    debug: option.Debug = False,
) -> int:
    """Compare every row, hash and count of a built data set with its manifest."""
    from openmmlo import terminal
    from openmmlo.building import publishing

    found = publishing.verify(folder, deep, None if quiet else terminal.ProgressBar(unit=None))
    terminal.show_json({"ok": found.ok, **vars(found)}) if json else terminal.show_verification(found)
    return 0 if found.ok else 4


def push(
    folder: Folder,
    repo: Repo,
    with_images: Annotated[bool, typer.Option("--with-images", help="Send the images too.")] = False,
    strip_exif: Annotated[
        bool, typer.Option("--strip-exif", help="Take EXIF, GPS and the like out of the images that are sent.")
    ] = False,
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    create_pr: Annotated[bool, typer.Option("--create-pr", help="Propose it as a pull request.")] = False,
    revision: Annotated[str | None, typer.Option(metavar="BRANCH", help="The branch to publish on.")] = None,
    message: Annotated[str | None, typer.Option(metavar="TEXT", help="Title of the commits.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Publish over another data set.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Make ready and check; send nothing.")] = False,
    json: option.Json = False,
    quiet: option.Quiet = False,
    debug: option.Debug = False,
) -> int:
    """Publish a built data set on the Hugging Face Hub; run it again to go on."""
    from openmmlo import terminal
    from openmmlo.building import publishing

    config = publishing.PushConfig(
        folder, repo, with_images=with_images, strip_exif=strip_exif, private=private, create_pr=create_pr,
        revision=revision, message=message, replace=replace, dry_run=dry_run,
    )  # fmt: skip
    result = publishing.push(config, None if quiet else terminal.ProgressBar(unit=None))
    terminal.show_json(result) if json else terminal.show_push(result)
    return 0


def pull(
    repo: Repo,
    to: Annotated[Path | None, typer.Option(metavar="DIR", help="Where to; default: a folder NAME here.")] = None,
    revision: Annotated[str | None, typer.Option(metavar="NAME", help="Branch, tag, commit or refs/pr/N.")] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Decode every image when verifying.")] = False,
    json: option.Json = False,
    quiet: option.Quiet = False,
    debug: option.Debug = False,
) -> int:
    """Fetch a published data set from the Hugging Face Hub, verified; run it again to go on."""
    from openmmlo import terminal
    from openmmlo.building import publishing

    result = publishing.pull(repo, to, revision, deep, None if quiet else terminal.ProgressBar(unit=None))
    terminal.show_json({"ok": result.verification.ok, **vars(result)}) if json else terminal.show_pull(result)
    return 0 if result.verification.ok else 4


@wordnet_app.command("setup")
def wordnet_setup(
    origin: Annotated[
        Path | None,
        typer.Option("--from", metavar="DIR", help="WordNet's dict folder, or NLTK's; default: NLTK downloads it."),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Default: OPENMMLO_DATA/nltk_data, else where NLTK keeps its data."),
    ] = None,
    json: option.Json = False,
    debug: option.Debug = False,
) -> int:
    """Bring WordNet 3.0 to where openmmlo and NLTK look for it."""
    from openmmlo import terminal
    from openmmlo.building.wordnet import set_up

    result = set_up(origin, to)
    terminal.show_json(result) if json else terminal.show_wordnet(result)
    return 0


@lexicon_app.command("build")
def lexicon_build(
    source: option.Source,
    level: Annotated[
        str | None, typer.Option(metavar="strict|head|hypernym", help="Default: the broadest that can be had.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Default: SOURCE-lexicon.json; .json.gz is compressed.")
    ] = None,
    images: option.Images = None,
    lists: option.Lists = None,
    open_images: option.OpenImages = None,
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
    """Expand SOURCE's class names into a frozen lexicon: what each mask level hides."""
    from openmmlo import terminal
    from openmmlo.building import masking
    from openmmlo.sources import open_source

    options = option.given(
        images=images, lists=lists, open_images=open_images, longtail=longtail, ratio=ratio, splits_file=splits,
        classes=classes, seed=seed, follow_links=option.switched(follow_links),
    )  # fmt: skip
    info = open_source(source, options | option.assigned(assignments)[0]).info()
    lexicon = masking.make_lexicon(info, level)
    path = out or Path(f"{info.name}-lexicon.json")
    masking.write_lexicon(lexicon, path)
    found = {"file": path, **masking.describe(lexicon)}
    terminal.show_json(found) if json else terminal.show_lexicon(found)
    return 0
