"""Text to objects: what is converted, what is refused, and what the refusal says."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmmlo import config
from openmmlo.config import coerce, construct, describe_recipe, load_recipe, parse_set, recipe_names
from openmmlo.errors import ConfigError, UnknownName


@dataclass(frozen=True)
class Example:
    out: Path
    ratio: float = 100.0
    batch_size: int = 16
    level: Literal["strict", "wide"] = "strict"
    splits: tuple[str, ...] = ()
    seed: int | None = None
    follow_links: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    made: str = field(default="here", init=False)


def test_construct_converts_what_yaml_and_flags_give() -> None:
    values = {"out": "~/there", "ratio": 10, "batch-size": "8", "splits": ["a", "b"], "seed": "3", "options": {"k": 1}}
    made = construct(Example, values, "recipe x")
    assert made == Example(Path("~/there").expanduser(), 10.0, 8, splits=("a", "b"), seed=3, options={"k": 1})
    assert isinstance(made.ratio, float)


def test_unknown_key_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(ConfigError, match=r"recipe x takes no 'batchsize'\. Did you mean 'batch_size'\? Known: out, "):
        construct(Example, {"out": "o", "batchsize": 3}, "recipe x")


def test_a_field_that_is_not_an_option_is_refused() -> None:
    with pytest.raises(ConfigError, match="takes no 'made'"):
        construct(Example, {"out": "o", "made": "there"}, "recipe x")


def test_missing_key_is_named() -> None:
    with pytest.raises(ConfigError, match="recipe x needs a value for 'out'"):
        construct(Example, {}, "recipe x")


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("batch_size", "many", "batch_size is 'many'; expected int"),
        ("batch_size", 2.5, "expected int"),
        ("batch_size", True, "expected int"),
        ("ratio", "steep", "expected float"),
        ("level", "stric", r"expected one of 'strict', 'wide'\. Did you mean 'strict'\?"),
        ("splits", 3, "expected list of str"),
        ("seed", "x", "expected int or None"),
        ("follow_links", "maybe", "expected bool"),
        ("options", "k=1", "expected dict"),
        ("out", 7, "expected Path"),
    ],
)
def test_a_value_of_another_type_is_refused_with_the_type_it_should_have(key: str, value: Any, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        construct(Example, {"out": "o", key: value}, "recipe x")


def test_comma_separated_words_become_a_list() -> None:
    assert coerce("train,val,", tuple[str, ...], "splits") == ("train", "val")


@pytest.mark.parametrize(("word", "value"), [("yes", True), ("On", True), ("false", False), (True, True)])
def test_bool_words(word: Any, value: bool) -> None:
    assert coerce(word, bool, "flag") is value


@given(st.integers(), st.floats(allow_nan=False), st.text())
def test_text_of_a_number_is_that_number(whole: int, broken: float, text: str) -> None:
    assert coerce(str(whole), int, "n") == whole
    assert coerce(repr(broken), float, "x") == broken
    assert coerce(text, str, "s") == text


def test_set_words_are_yaml_values() -> None:
    pairs = ["a=3", "b=true", "c=[1, x]", "d=", "e= a = b", "captioner.model=org/name"]
    assert parse_set(pairs) == {
        "a": 3, "b": True, "c": [1, "x"], "d": None, "e": "a = b", "captioner.model": "org/name",
    }  # fmt: skip


@pytest.mark.parametrize("word", ["alone", "=3", " =3"])
def test_a_set_word_without_key_is_refused(word: str) -> None:
    with pytest.raises(ConfigError, match=r"--set takes key=value; got"):
        parse_set([word])


def test_a_set_word_that_is_no_yaml_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"--set a: cannot read '\[1,' as a YAML value"):
        parse_set(["a=[1,"])


def test_set_never_makes_objects() -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        parse_set(["a=!!python/object/apply:os.getcwd []"])


def test_recipe_by_name_and_by_file(tmp_path: Path) -> None:
    named = load_recipe("building", "miniature")
    assert named["source"] == "miniature"
    own = tmp_path / "own.yaml"
    own.write_text("source: miniature\nbatch_size: 3\n", encoding="utf-8")
    assert load_recipe("building", str(own)) == {"source": "miniature", "batch_size": 3}


def test_unknown_recipe_proposes_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"No building recipe named 'minature'\. Did you mean 'miniature'\?"):
        load_recipe("building", "minature")


@pytest.mark.parametrize("text", ["- a\n- b\n", "just words", "", "a: [1\n"])
def test_a_recipe_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"own\.yaml"):
        load_recipe("building", str(own))


def test_a_binary_recipe_is_refused(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(ConfigError, match=r"own\.yaml"):
        load_recipe("building", str(own))


def test_a_recipe_describes_itself_in_its_first_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "building").mkdir()
    (tmp_path / "building" / "own.yaml").write_text("# What it builds\nsource: miniature\n", encoding="utf-8")
    monkeypatch.setattr(config, "recipe_root", lambda: tmp_path)
    assert recipe_names("building") == ("own",)
    assert describe_recipe("building", "own") == "What it builds"
