"""Measured numbers come in, and stand in a model's README.md as the Hub reads them (``model-index``).

A number of an entry is its mark's, computed again from the predictions; one of a result's folder is what was measured
there. What the card says beside them, other people's numbers included, stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from openmmlo.errors import DataError, SubmissionRefused
from openmmlo.evaluate.result import read_result
from openmmlo.leaderboard.board import Board, Entry
from openmmlo.leaderboard.ranks import over_seeds
from openmmlo.markdown import text as plain
from openmmlo.models.card_results import CardResult, front_matter_yaml, metrics_of, model_index, results_of
from openmmlo.writing import write_aside

INDEX = "model-index"
_ZERO_SHOT = "zero-shot-image-classification"
_TASK = "image-classification"


@dataclass(frozen=True)
class Measured:
    """Numbers for a card.

    Attributes:
        name: of the model, for a card that has none.
        task: the Hub's name of what it does.
        source: where the numbers are from, ``name`` and ``url``; empty where that is nowhere on the web.
    """

    name: str
    task: str
    results: tuple[CardResult, ...]
    source: Mapping[str, str]


@dataclass(frozen=True)
class Written:
    """What became of a card: its file, numbers that are new in it, and numbers that replaced earlier ones."""

    path: Path
    added: int
    replaced: int


def measured(what: str, board: Board | None) -> Measured:
    """The numbers of a result's folder, or of an entry of a board.

    Args:
        what: a folder that ``openmmlo eval`` wrote, or ENTRY or BENCHMARK/ENTRY.
        board: where entries are looked up; None where ``what`` is a folder.

    Raises:
        DataError: a folder without a result, or a result without a number.
        SubmissionRefused: an entry that has no mark.
    """
    if Path(what).is_dir() or board is None:
        return of_result(read_result(Path(what)))
    (path,) = board.find([what])
    return of_entry(board.read(path), board)


def of_result(result: Mapping[str, Any]) -> Measured:
    """The numbers of one result."""
    found = tuple(results_of(result))
    if not found:
        raise DataError("This result holds no number that a card shows. Evaluate on a benchmark with a test set.")
    return Measured(str(result["model"]["name"]), _task(result), found, {})


def of_entry(entry: Entry, board: Board) -> Measured:
    """The numbers of an entry: means over its seeds, from its mark."""
    submission, mark = entry.submission, entry.mark
    if mark is None:
        raise SubmissionRefused(
            f"{submission.label} has no mark: what was submitted is not shown before it was computed again. Run "
            f"openmmlo leaderboard rescore {submission.label}."
        )
    about = {"name": submission.benchmark, "version": submission.benchmark_version}
    runs = [
        results_of(
            {"benchmark": about, "scored": {"classification": {}, "ood": {}} | _nested(run.scored), "measured": {}}
        )
        for run in mark.runs
    ]
    source = {}
    if board.origin is not None:
        from huggingface_hub import constants

        place = f"{board.origin.repo}/blob/{board.origin.commit}/submissions/{submission.label}.json"
        source = {"name": f"OpenMMlo leaderboard, {mark.mark}", "url": f"{constants.ENDPOINT}/datasets/{place}"}
    return Measured(submission.entry, _task(submission.runs[0].result), tuple(_means(runs)), source)


def write_card(numbers: Measured, into: Path) -> Written:
    """Write numbers into the front matter of a model card, made where there is none.

    A number of the same benchmark, set, reading and metric is replaced; all else stays, but for comments in the YAML.

    Raises:
        DataError: a file whose front matter cannot be read.
    """
    from huggingface_hub import ModelCard

    if into.is_dir():
        into = into / "README.md"
    text = into.read_bytes().decode("utf-8-sig") if into.is_file() else f"\n# {plain(numbers.name)}\n"
    front, body = _split(text, into)
    index = model_index(numbers.name, numbers.task, numbers.results, numbers.source)
    new = index[0]["results"]
    earlier = front.get(INDEX) or []
    _refuse_ill_formed(earlier, into)
    metrics = front.get("metrics") or []
    metrics = metrics if isinstance(metrics, list) else [metrics]
    front["metrics"] = [*metrics, *(name for name in metrics_of(numbers.results) if name not in metrics)]
    replaced = 0
    if earlier:
        kept, replaced = _without(earlier[0]["results"], {key for item in new for key in _keys(item)})
        index = [{**earlier[0], "results": [*kept, *new]}, *earlier[1:]]
    front[INDEX] = index
    content = f"---\n{front_matter_yaml(front)}---\n{body}"
    try:
        ModelCard(content)
    except ValueError as error:  # what stands in it beside the numbers
        raise DataError(f"{into} is no model card that the Hub reads: {error}") from error
    into.parent.mkdir(parents=True, exist_ok=True)
    write_aside(into, content)
    return Written(into, len(numbers.results) - replaced, replaced)


def _split(text: str, path: Path) -> tuple[dict[str, Any], str]:
    """Front matter and the rest of a card."""
    import yaml
    from huggingface_hub.repocard import REGEX_YAML_BLOCK

    block = REGEX_YAML_BLOCK.search(text)
    if block is None:
        return {}, text
    try:
        front = yaml.safe_load(block.group(2))
    except yaml.YAMLError as error:
        raise DataError(f"The front matter of {path} is not valid YAML: {error}") from error
    if not isinstance(front, dict | None):
        raise DataError(f"The front matter of {path} is {type(front).__name__}; expected key: value lines.")
    return front or {}, text[block.end() :]


def _refuse_ill_formed(index: Any, path: Path) -> None:
    from huggingface_hub.repocard_data import model_index_to_eval_results

    try:
        if index:
            model_index_to_eval_results(index)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path}: its {INDEX} is not as the Hub describes it ({error!r}). Mend it, or take it out."
        ) from error


def _keys(item: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """What the numbers of one block of ``model-index`` are of."""
    data = item["dataset"]
    place = (item["task"]["type"], data["type"], data.get("config"), data.get("split"))
    return [(*place, metric["type"], metric.get("name")) for metric in item["metrics"]]


def _without(results: Sequence[Mapping[str, Any]], gone: set[tuple[Any, ...]]) -> tuple[list[dict[str, Any]], int]:
    """Blocks without these numbers, and how many there were."""
    kept, count = [], 0
    for item in results:
        left = [metric for metric, key in zip(item["metrics"], _keys(item), strict=True) if key not in gone]
        count += len(item["metrics"]) - len(left)
        if left:
            kept.append({**item, "metrics": left})
    return kept, count


def _task(result: Mapping[str, Any]) -> str:
    return _ZERO_SHOT if result["classifier"]["kind"] == "zero-shot" else _TASK


def _nested(flat: Mapping[str, float]) -> dict[str, Any]:
    """What :func:`openmmlo.leaderboard.metric_paths.numbers` made flat."""
    found: dict[str, Any] = {}
    for path, value in flat.items():
        *folders, leaf = path.split(".")
        place = found
        for name in folders:
            place = place.setdefault(name, {})
        place[leaf] = value
    return found


def _means(runs: Sequence[Sequence[CardResult]]) -> list[CardResult]:
    """Means over seeds, of numbers that every seed has."""
    by_what: dict[CardResult, list[float]] = {}
    for run in runs:
        for item in run:
            by_what.setdefault(replace(item, value=0.0), []).append(item.value)
    averaged = {what: over_seeds(values) for what, values in by_what.items() if len(values) == len(runs)}
    return [
        replace(what, value=found.mean, seeds=len(found.values), deviation=found.sd) for what, found in averaged.items()
    ]
