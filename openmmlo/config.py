"""Text to objects, in this file alone: YAML recipes and ``--set key=value`` become frozen dataclasses, strictly.

A recipe is flat and complete: no includes, inheritance or interpolation. Unknown keys are refused with the nearest
known one; a value of another type than its field's is refused with the type it should have.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import yaml

from openmmlo.errors import ConfigError, UnknownName

T = TypeVar("T")


def construct(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """Make the dataclass ``cls`` from plain values.

    Args:
        cls: a dataclass; its fields are the known keys. Fields made with ``init=False`` are not keys.
        values: key -> value as YAML or the command line gives it. Dashes in keys count as underscores.
        where: what the values belong to, for messages ("recipe imagenet-lt", "source places-lt").

    Raises:
        ConfigError: an unknown key, a missing key without default, or a value of the wrong type.
    """
    hints = typing.get_type_hints(cls)
    fields = {item.name: item for item in dataclasses.fields(typing.cast(Any, cls)) if item.init}
    given: dict[str, Any] = {}
    for key, value in values.items():
        name = str(key).replace("-", "_")
        if name not in fields:
            near = get_close_matches(name, fields, n=1, cutoff=0.6)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            known = ", ".join(fields) or "none"
            raise ConfigError(f"{where} takes no {str(key)!r}.{hint} Known: {known}.")
        given[name] = coerce(value, hints[name], f"{where}: {name}")
    for name, item in fields.items():
        required = item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
        if required and name not in given:
            raise ConfigError(f"{where} needs a value for {name!r}.")
    return cls(**given)


def coerce(value: Any, hint: Any, where: str) -> Any:
    """Turn a plain value into the type ``hint`` names, or refuse it.

    Knows None, bool, int, float, str, Path, Literal, unions, tuple[T, ...], list[T] and dict[str, T]. Text becomes
    a number where a number is wanted, an int becomes a float; nothing else is converted.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        for option in arguments:
            try:
                return coerce(value, option, where)
            except ConfigError:
                continue
    elif origin is typing.Literal:
        if value in arguments:
            return value
        choices = ", ".join(repr(choice) for choice in arguments)
        near = get_close_matches(str(value), [str(choice) for choice in arguments], n=1)
        hint_text = f" Did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"{where} is {value!r}; expected one of {choices}.{hint_text}")
    elif origin in (tuple, list):
        items = [part for part in value.split(",") if part] if isinstance(value, str) else value
        if isinstance(items, (list, tuple)):
            return origin(coerce(item, arguments[0], where) for item in items)
    elif origin in (dict, Mapping) or hint is dict:
        if isinstance(value, Mapping):
            return {str(key): coerce(item, arguments[1] if arguments else Any, where) for key, item in value.items()}
    elif hint is type(None) or hint is None:
        if value is None or value == "":
            return None
    elif hint is bool:
        words = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in words:
            return words[value.lower()]
    elif hint in (int, float):
        if not isinstance(value, bool):
            try:
                number = hint(value)
            except (TypeError, ValueError):
                number = None
            if number is not None and (hint is float or number == value or isinstance(value, str)):
                return number
    elif hint is str:
        if isinstance(value, (str, int, float)) and not isinstance(value, bool):
            return str(value)
    elif hint is Path:
        if isinstance(value, (str, Path)):
            return Path(value).expanduser()
    elif isinstance(value, hint):
        return value
    raise ConfigError(f"{where} is {value!r}; expected {type_name(hint)}.")


def type_name(hint: Any) -> str:
    """What a person calls the type: ``int``, ``str or None``, ``list of str``."""
    arguments = typing.get_args(hint)
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(type_name(option) for option in arguments)
    if origin in (tuple, list):
        return f"list of {type_name(arguments[0])}"
    if hint is type(None):
        return "None"
    return getattr(hint, "__name__", str(hint))


def parse_set(pairs: list[str]) -> dict[str, Any]:
    """Read ``--set key=value`` words; the value is YAML, so ``3``, ``true``, ``[a, b]`` mean what they look like."""
    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set takes key=value; got {pair!r}.")
        try:
            values[key.strip()] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {key.strip()}: cannot read {text!r} as a YAML value.") from error
    return values


def recipe_root() -> Path:
    """Where the recipes lie: inside the installed package, or beside it in a checkout."""
    packaged = Path(__file__).parent / "recipes"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / "recipes"


def recipe_names(kind: str) -> tuple[str, ...]:
    """Names of the shipped recipes of one kind (``building``)."""
    return tuple(sorted(path.stem for path in (recipe_root() / kind).glob("*.yaml")))


def load_recipe(kind: str, name: str) -> dict[str, Any]:
    """Read a recipe by name, or a YAML file by path.

    Raises:
        UnknownName: neither a shipped recipe nor a file.
        ConfigError: not YAML, or not a mapping of keys to values.
    """
    path = Path(name).expanduser()
    if not (path.suffix in {".yaml", ".yml"} and path.is_file()):
        if name not in recipe_names(kind):
            raise UnknownName(f"{kind} recipe", name, recipe_names(kind), " A .yaml file of your own works too.")
        path = recipe_root() / kind / f"{name}.yaml"
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"Recipe {path.name} is not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"Recipe {path.name} must hold key: value lines.")
    return values


def describe_recipe(kind: str, name: str) -> str:
    """First line of a shipped recipe, which is a comment that says what it builds."""
    with (recipe_root() / kind / f"{name}.yaml").open(encoding="utf-8") as file:
        return file.readline().lstrip("#").strip()
