"""Tables of names: a name stands for ``module:attribute``, which is imported when it is asked for.

Adding an entry is one line of data. Outside code needs no entry: ``package.module:Class`` works in its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from openmmlo.errors import OpenmmloError, UnknownName


class Catalog(Mapping[str, str]):
    """A table of one kind of thing.

    Args:
        kind: what an entry is called in messages, for example "OOD detector".
        entries: kebab-case name -> "package.module:attribute".
    """

    def __init__(self, kind: str, entries: Mapping[str, str]) -> None:
        self.kind = kind
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> str:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def load(self, name: str) -> Any:
        """Import what ``name`` stands for.

        Raises:
            UnknownName: no entry and not of the form package.module:attribute; the nearest name is proposed.
            OpenmmloError: the named module or attribute does not exist.
        """
        target = self._entries.get(name, name)
        module_name, separator, attribute = target.partition(":")
        if not separator or not module_name or not attribute:
            raise UnknownName(self.kind, name, self, ' Own code: "package.module:Class".')
        try:
            found: Any = import_module(module_name)
        except ModuleNotFoundError as error:
            if name in self._entries or not (error.name and module_name.startswith(error.name)):
                raise
            raise OpenmmloError(
                f"{self.kind} {name!r}: no module named {error.name!r}. Is it installed, or on PYTHONPATH?"
            ) from error
        for part in attribute.split("."):
            if not hasattr(found, part):
                raise OpenmmloError(f"{self.kind} {name!r}: module {module_name!r} has no {attribute!r}.")
            found = getattr(found, part)
        return found

    def describe(self, name: str) -> str:
        """First line of the docstring of what ``name`` stands for."""
        text = (self.load(name).__doc__ or "").strip()
        return text.splitlines()[0] if text else ""
