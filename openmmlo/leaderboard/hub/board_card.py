"""The card of a board that is published as a data set: what its marks mean, what its tables hold, how to submit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import get_args

from openmmlo.leaderboard.marks import REPORTED, MarkName
from openmmlo.leaderboard.rows import Table
from openmmlo.markdown import PAPER, code, table, text
from openmmlo.models.card_results import front_matter_yaml

SPLIT = "board"
_MARKS = (REPORTED, *get_args(MarkName))
_TABLES = {
    "rows": "one row a method and benchmark: what it is, its setting and its mark",
    "metrics": "one row a metric of a method: mean, deviation and interval over seeds, rank, the value of each seed",
    "marks": "one row a mark: which submission was computed again, by which version of openmmlo and when",
    "reported": "one row a number as a paper prints it, in the paper's unit, with its remarks",
}
_LOAD = """from datasets import load_dataset

rows = load_dataset("{repo}", "{name}", split="{split}")"""
_SUBMIT = "openmmlo submit RESULT_DIR --name NAME --authors AUTHORS --hub OWNER/PREDICTIONS --board {repo}"


def board_card(found: Sequence[Table], names: Sequence[str], repo: str, space: str | None) -> str:
    """The README.md of a board as a data set.

    Args:
        names: of the tables that it has.
    """
    front = {
        "license": "cc-by-4.0",
        "pretty_name": "OpenMMlo leaderboard",
        "tags": ["leaderboard", "long-tailed-recognition", "out-of-distribution-detection", "openmmlo"],
        "configs": [
            {
                "config_name": name,
                **({"default": True} if place == 0 else {}),
                "data_files": [{"split": SPLIT, "path": f"tables/{name}.jsonl"}],
            }
            for place, name in enumerate(names)
        ],
    }
    counts = [(item, Counter[str](row.mark for row in item.rows)) for item in found]
    benchmarks = table(
        ("benchmark", *_MARKS, "awaiting"),
        [
            (text(item.benchmark.name), *(str(marks[mark]) for mark in _MARKS), str(len(item.awaiting)))
            for item, marks in counts
        ],
    )
    pages = f"Pages: [{space}](https://huggingface.co/spaces/{space}).\n\n" if space else ""
    parts = [
        "# OpenMMlo leaderboard",
        f"{pages}Long-tailed recognition and out-of-distribution detection. Every number has a mark that says where it "
        "is from, and that no submitter can set.",
        "- **reported**: a paper prints it.\n"
        "- **re-scored**: it was computed again from the predictions, metric by metric. That proves that the two "
        "agree, not how the predictions came about: test labels are public.\n"
        "- **reproduced**: a maintainer ran the checkpoint again.",
        benchmarks,
        "## Tables",
        "\n".join(f"- `{name}`: {_TABLES[name]}." for name in names),
        code(_LOAD.format(repo=repo, name=names[0] if names else "rows", split=SPLIT), "python"),
        "Shares are fractions here, as in `openmmlo eval`; `reported` has the paper's own unit. `submissions/`, "
        "`marks/` and `reported/` hold the board itself, from which the tables were made.",
        "## Submit",
        code(_SUBMIT.format(repo=repo), "bash"),
        "## Citation",
        code(PAPER, "bibtex"),
    ]
    return f"---\n{front_matter_yaml(front)}---\n\n" + "\n\n".join(parts) + "\n"
