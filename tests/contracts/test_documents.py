"""What is written about the package agrees with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

import openmmlo
from openmmlo.building.captioners import CAPTIONERS
from openmmlo.building.schema import COLUMNS
from openmmlo.cli import BAD_INPUT, CHECK_FAILED, DONE, INTERNAL_ERROR, SAMPLES_FAILED, STOPPED
from openmmlo.config import load_recipe
from openmmlo.evaluate.benchmark import benchmark_names
from openmmlo.evaluate.detectors import DETECTORS
from openmmlo.models import MODELS
from openmmlo.records import Status
from openmmlo.sources import SOURCES
from openmmlo.train.order import Order

CHECKOUT = Path(__file__).parents[2]
PAGES = [CHECKOUT / "README.md", CHECKOUT / "CONTRIBUTING.md", *sorted((CHECKOUT / "docs").glob("*.md"))]
README = PAGES[0].read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_readme_opens_with_two_commands_that_ci_runs() -> None:
    commands = re.findall(r"^```bash\n(.+?)\n```$", README, re.MULTILINE | re.DOTALL)
    assert [line for line in README.splitlines() if line.startswith("python3 -m venv")] == commands[:2]
    assert commands[0].endswith("&& .venv/bin/openmmlo build miniature --out miniature")
    assert commands[1].endswith("&& .venv/bin/pytest")


def test_readme_knows_every_name() -> None:
    rows = re.findall(r"^\| (`[^|]+`) \|", README, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    assert sorted(named) == sorted([*SOURCES, *CAPTIONERS, *MODELS, *DETECTORS])


def test_the_page_on_benchmarks_knows_every_one() -> None:
    page = (CHECKOUT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert set(benchmark_names()) <= set(re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE))


def test_readme_draws_every_room_and_file() -> None:
    (tree,) = re.findall(r"^```text\n(.+?)\n```$", README, re.MULTILINE | re.DOTALL)
    drawn = set(re.findall(r"[\w./]+(?:/|\.py)", tree))
    package = {path.name for path in (CHECKOUT / "openmmlo").glob("[a-z]*.py")}
    rooms = {f"{path.name}/" for path in (CHECKOUT / "openmmlo").iterdir() if (path / "__init__.py").exists()}
    assert package | rooms <= drawn


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_for_several_processes_start_them_and_their_batch_parts(page: Path) -> None:
    text = " ".join(page.read_text(encoding="utf-8").split())
    commands = re.findall(r"accelerate launch (.*?) openmmlo (pretrain|finetune) ([\w-]+)", text)
    assert commands or page.name not in {"README.md", "training.md"}
    for options, kind, name in commands:
        assert re.search(r"--multi_gpu\b.*(--module|-m)$", options)
        (processes,) = re.findall(r"--num_processes (\d+)", options)
        recipe = load_recipe(kind, name)
        Order(10**6, recipe["batch_size"], recipe["accumulation"], 0).check_processes(int(processes))


def test_exit_codes_are_those_the_readme_tells() -> None:
    said = (
        f"{DONE} done · {INTERNAL_ERROR} internal error · {BAD_INPUT} bad input · {SAMPLES_FAILED} finished with "
        f"failed samples · {CHECK_FAILED} a check failed · {STOPPED} stopped"
    )
    assert said in README


def test_the_page_on_building_knows_every_status_and_column() -> None:
    page = (CHECKOUT / "docs" / "building.md").read_text(encoding="utf-8")
    cells = "\n".join(re.findall(r"^\| (`[^|]+`) \|", page, re.MULTILINE))
    for name in [*COLUMNS, *(status for status in Status if status is not Status.OK)]:
        assert f"`{name}`" in cells, name


def test_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((CHECKOUT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == openmmlo.__version__
    assert citation["license"] == "Apache-2.0"
    assert citation["preferred-citation"]["title"].startswith("Adapting Multi-modal Large Language Model to Concept")


def test_changelog_has_a_place_for_what_is_new() -> None:
    assert "\n## [Unreleased]\n" in (CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8")
