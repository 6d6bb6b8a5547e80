"""What an evaluation is about to write comes in; an earlier result that would be lost to it is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from openmmlo.errors import ConfigError, DataError
from openmmlo.evaluate.result import read_result

if TYPE_CHECKING:
    from openmmlo.evaluate.benchmark import Benchmark
    from openmmlo.evaluate.configuration import EvalConfig

_SHOWN = 12  # characters of a digest that a person compares


def keep_earlier(config: EvalConfig, checkpoint: str, benchmarks: Sequence[Benchmark]) -> None:
    """Refuse, before any work, to write over a result that was asked for otherwise; the same one again may be.

    Args:
        checkpoint: digest of the model's identity.

    Raises:
        ConfigError: the folder, and what differs; or two benchmarks of one name.
    """
    folders = set()
    for benchmark in benchmarks:
        here = {"model": config.model_name, "checkpoint": checkpoint, "definition": benchmark.digest} | config.asked
        for seed in config.seeds:
            folder = config.folder(benchmark.name, seed)
            if folder in folders:
                raise ConfigError(
                    f"Two benchmarks are called {benchmark.name!r}, so one result would take the other's place. "
                    "Evaluate them one by one, each with an --out of its own."
                )
            folders.add(folder)
            try:
                before = read_result(folder)
            except DataError:  # nothing is there that could be lost
                continue
            digests = before["digests"]
            there = {"model": before["model"]["name"], "checkpoint": digests["checkpoint"],
                     "definition": digests["definition"]} | before.get("asked", {})  # fmt: skip
            differ = [
                f"{key} {_shown(there[key])} there, {_shown(value)} here"
                for key, value in here.items()
                if there.get(key, value) != value
            ]
            if differ:
                raise ConfigError(
                    f"{folder} holds another result ({'; '.join(differ)}), which is not written over. "
                    "Give another --out, or remove that folder."
                )


def _shown(value: object) -> str:
    text = str(value)
    return text[:_SHOWN] if len(text) == 64 else text
