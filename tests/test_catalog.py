"""Names stand for code that is imported when it is asked for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from openmmlo.catalog import Catalog
from openmmlo.errors import OpenmmloError, UnknownName

TABLE = Catalog(
    "number",
    {
        "fraction": "fractions:Fraction",
        "whole": "fractions:Fraction.limit_denominator",
        "gone": "fractions:Gone",
        "lost": "openmmlo.no_such_module:Thing",
    },
)


def test_a_name_loads_what_it_stands_for() -> None:
    from fractions import Fraction

    assert TABLE.load("fraction") is Fraction
    assert TABLE.load("whole") is Fraction.limit_denominator


def test_a_table_reads_like_a_mapping() -> None:
    assert list(TABLE) == ["fraction", "whole", "gone", "lost"]
    assert len(TABLE) == 4
    assert "fraction" in TABLE
    assert TABLE["fraction"] == "fractions:Fraction"


def test_own_code_needs_no_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_numbers.py").write_text('class Own:\n    """A number of my own."""\n', encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert TABLE.load("own_numbers:Own").__name__ == "Own"
    assert TABLE.describe("own_numbers:Own") == "A number of my own."
    monkeypatch.delitem(sys.modules, "own_numbers")


def test_unknown_name_proposes_the_nearest_and_names_the_known() -> None:
    message = (
        r"No number named 'fractoin'\. Did you mean 'fraction'\? Known: fraction, gone, lost, whole\. "
        r'Own code: "package\.module:Class"\.'
    )
    with pytest.raises(UnknownName, match=message):
        TABLE.load("fractoin")


@pytest.mark.parametrize("name", ["", ":", "module:", ":Class", "module.Class", "../etc/passwd"])
def test_what_is_no_reference_is_an_unknown_name(name: str) -> None:
    with pytest.raises(UnknownName):
        TABLE.load(name)


def test_a_module_that_does_not_exist_is_a_users_mistake_only_in_own_code() -> None:
    with pytest.raises(OpenmmloError, match=r"no module named 'no_such_package'\. Is it installed, or on PYTHONPATH\?"):
        TABLE.load("no_such_package.part:Thing")
    with pytest.raises(ModuleNotFoundError):
        TABLE.load("lost")


def test_own_code_whose_own_import_fails_keeps_its_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "needs_more.py").write_text("import surely_not_installed\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="surely_not_installed"):
        TABLE.load("needs_more:Thing")


def test_an_attribute_that_does_not_exist_is_named() -> None:
    with pytest.raises(OpenmmloError, match="number 'gone': module 'fractions' has no 'Gone'"):
        TABLE.load("gone")
