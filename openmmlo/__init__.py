"""openmmlo: build, benchmark and compare for long-tailed and open-world vision-language learning.

Rooms, in the order data moves: sources, building, data, models, train, evaluate, leaderboard. Names below load on
first use, so ``import openmmlo`` is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openmmlo.building import BuildConfig, BuildResult, build, plan_build
    from openmmlo.building.masking import make_lexicon
    from openmmlo.building.measures.measure import audit, measure, quality, report, stats
    from openmmlo.building.publishing.pull import pull
    from openmmlo.building.publishing.push import PushConfig, push
    from openmmlo.building.publishing.verification import verify
    from openmmlo.building.wordnet import set_up as set_up_wordnet
    from openmmlo.data import BuiltDataset, open_dataset
    from openmmlo.evaluate import EvalConfig, Evaluation, Outcome, evaluate
    from openmmlo.evaluate.benchmark import load_benchmark
    from openmmlo.evaluate.compare import compare
    from openmmlo.evaluate.score import score_file
    from openmmlo.leaderboard.board import Board, open_board
    from openmmlo.leaderboard.reproduce import reproduce
    from openmmlo.leaderboard.rescore import rescore
    from openmmlo.leaderboard.site import write_site
    from openmmlo.leaderboard.submit import About, submit
    from openmmlo.models import open_model
    from openmmlo.sources import check, open_source

__version__ = "0.1.0"

_WHERE = {
    "About": "openmmlo.leaderboard.submit:About",
    "Board": "openmmlo.leaderboard.board:Board",
    "BuildConfig": "openmmlo.building:BuildConfig",
    "BuildResult": "openmmlo.building:BuildResult",
    "BuiltDataset": "openmmlo.data:BuiltDataset",
    "EvalConfig": "openmmlo.evaluate:EvalConfig",
    "Evaluation": "openmmlo.evaluate:Evaluation",
    "Outcome": "openmmlo.evaluate:Outcome",
    "PushConfig": "openmmlo.building.publishing.push:PushConfig",
    "audit": "openmmlo.building.measures.measure:audit",
    "build": "openmmlo.building:build",
    "check": "openmmlo.sources:check",
    "compare": "openmmlo.evaluate.compare:compare",
    "evaluate": "openmmlo.evaluate.run:evaluate",
    "load_benchmark": "openmmlo.evaluate.benchmark:load_benchmark",
    "make_lexicon": "openmmlo.building.masking:make_lexicon",
    "measure": "openmmlo.building.measures.measure:measure",
    "open_board": "openmmlo.leaderboard.board:open_board",
    "open_dataset": "openmmlo.data:open_dataset",
    "open_model": "openmmlo.models:open_model",
    "open_source": "openmmlo.sources:open_source",
    "plan_build": "openmmlo.building:plan_build",
    "pull": "openmmlo.building.publishing.pull:pull",
    "push": "openmmlo.building.publishing.push:push",
    "quality": "openmmlo.building.measures.measure:quality",
    "report": "openmmlo.building.measures.measure:report",
    "reproduce": "openmmlo.leaderboard.reproduce:reproduce",
    "rescore": "openmmlo.leaderboard.rescore:rescore",
    "score_file": "openmmlo.evaluate.score:score_file",
    "set_up_wordnet": "openmmlo.building.wordnet:set_up",
    "stats": "openmmlo.building.measures.measure:stats",
    "submit": "openmmlo.leaderboard.submit:submit",
    "verify": "openmmlo.building.publishing.verification:verify",
    "write_site": "openmmlo.leaderboard.site:write_site",
}

__all__ = [
    "About",
    "Board",
    "BuildConfig",
    "BuildResult",
    "BuiltDataset",
    "EvalConfig",
    "Evaluation",
    "Outcome",
    "PushConfig",
    "__version__",
    "audit",
    "build",
    "check",
    "compare",
    "evaluate",
    "load_benchmark",
    "make_lexicon",
    "measure",
    "open_board",
    "open_dataset",
    "open_model",
    "open_source",
    "plan_build",
    "pull",
    "push",
    "quality",
    "report",
    "reproduce",
    "rescore",
    "score_file",
    "set_up_wordnet",
    "stats",
    "submit",
    "verify",
    "write_site",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'openmmlo' has no attribute {name!r}")
    module, _, attribute = _WHERE[name].partition(":")
    return getattr(import_module(module), attribute)
