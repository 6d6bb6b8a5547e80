"""Which recipes make which tables: data, not code. Experiments share runs; nothing is trained twice for two tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from openmmlo.errors import UnknownName

Kind = Literal["pretrain", "finetune"]
Layout = Literal["scores", "geometry", "inputs"]


@dataclass(frozen=True)
class Run:
    """A recipe with what it starts from; trained once a seed.

    Attributes:
        recipe: name in ``recipes/KIND``.
        start: the run whose weights of the same seed it starts from; None where its recipe says enough.
        kind: pretrain or finetune.
        scored: evaluate it on the benchmark, images alone.
        read: evaluate it on the built folder too, whose captions it reads.
    """

    recipe: str
    start: Run | None = None
    kind: Kind = "finetune"
    scored: bool = True
    read: bool = False

    @property
    def name(self) -> str:
        """``finetune/tiny-ce``: a recipe of each kind may have the same name."""
        return f"{self.kind}/{self.recipe}"


@dataclass(frozen=True)
class Row:
    """A line of a table: what a reader calls it, and the run behind it."""

    label: str
    run: Run


@dataclass(frozen=True)
class Experiment:
    """Rows that are compared with each other.

    Attributes:
        name: for ``--only``.
        title: heading of its section.
        question: what it asks, in a sentence or two.
        rows: in the order of the table.
        against: label of the row that the others are compared with; ``above`` compares each with the one above it.
        layout: of its table.
        remarks: sentences of a person, beneath what was computed.
    """

    name: str
    title: str
    question: str
    rows: tuple[Row, ...]
    against: str
    layout: Layout
    remarks: tuple[str, ...] = ()

    def reference(self, row: Row) -> Row | None:
        """The row that this one is compared with; None for the first, or the reference itself."""
        if self.against == "above":
            place = self.rows.index(row)
            return self.rows[place - 1] if place else None
        return None if row.label == self.against else next(item for item in self.rows if item.label == self.against)


def _pretrained(recipe: str, read: bool = False) -> Run:
    return Run(recipe, kind="pretrain", scored=False, read=read)


def _kappa(value: str) -> Run:
    return Run(f"tiny-thp-kappa-{value}", _pretrained(f"tiny-thp-kappa-{value}"))


THP, COSINE, BALANCED = (_pretrained(name, True) for name in ("tiny-thp", "tiny-cosine", "tiny-cosine-balanced"))
CE = Run("tiny-ce")
THP_THP = Run("tiny-thp-thp", THP, read=True)
COSINE_COSINE = Run("tiny-cosine-cosine", COSINE, read=True)

_FROM_SCRATCH = (
    ("Focal", "tiny-focal"),
    ("Class-balanced", "tiny-class-balanced"),
    ("LDAM-DRW", "tiny-ldam-drw"),
    ("Logit adjustment", "tiny-logit-adjustment"),
    ("Balanced softmax", "tiny-balanced-softmax"),
    ("LADE", "tiny-lade"),
    ("t-vMF", "tiny-t-vmf"),
    ("WCDAS", "tiny-wcdas"),
    ("CE with class-aware sampler", "tiny-ce-class-aware"),
    ("CE with square-root sampler", "tiny-ce-square-root"),
)
_FROM_CE = (
    ("cRT", "tiny-crt"),
    ("LWS", "tiny-lws"),
    ("τ-norm", "tiny-tau-norm"),
    ("NCM", "tiny-ncm"),
    ("Logit adjustment post-hoc", "tiny-logit-adjustment-posthoc"),
)

BASELINES = Experiment(
    "baselines",
    "The baselines",
    "Which long-tail method helps whom, and at what price, where all have the same network, data and common budget? "
    "Every one reads images alone at test time; T-hp and the cosine were pre-trained with captions.",
    (
        Row("CE", CE),
        *(Row(label, Run(recipe)) for label, recipe in _FROM_SCRATCH),
        *(Row(label, Run(recipe, CE)) for label, recipe in _FROM_CE),
        Row("SupCon", Run("tiny-supcon", CE)),
        Row("CIDER", Run("tiny-cider", CE)),
        Row("Cosine pre-trained", COSINE_COSINE),
        Row("T-hp pre-trained", THP_THP),
    ),
    "CE",
    "scores",
    (
        "LWS, τ-norm, NCM, cRT, post-hoc logit adjustment, SupCon and CIDER start from the CE run of the same seed "
        "and cost less by themselves; all but the last two have its features. SupCon, CIDER and NCM classify by class "
        "means.",
    ),
)

TABLE_4 = Experiment(
    "table-4",
    "Table 4: the feature space after pre-training",
    "What does a long tail do to the features that pre-training learns, and what does T-hp change? Angles are of the "
    "pre-trained model before any fine-tuning, between class means of images and of their captions. The paper has, on "
    "ImageNet-LT: 33.0, 49.2 and 36.2 within classes, 84.3, 76.5 and 85.6 between them, 98.4, 80.7 and 101.3 to OOD.",
    (
        Row("balanced / cosine", Run("tiny-balanced-cosine", BALANCED)),
        Row("long-tailed / cosine", COSINE_COSINE),
        Row("long-tailed / T-hp", THP_THP),
    ),
    "above",
    "geometry",
)

TABLE_5 = Experiment(
    "table-5",
    "Table 5: T-hp in pre-training and in fine-tuning",
    "Where does the similarity matter? Before the arrow stands that of pre-training, after it that of the class layer. "
    "Cosine and T-hp have a learned scale each, and the same budget. The paper has 56.0, 58.7, 65.1 and 69.4 % for "
    "these rows on ImageNet-LT with ViT-B/16.",
    (
        Row("cosine → cosine", COSINE_COSINE),
        Row("T-hp → cosine", Run("tiny-thp-cosine", THP)),
        Row("cosine → T-hp", Run("tiny-cosine-thp", COSINE)),
        Row("T-hp → T-hp", THP_THP),
    ),
    "cosine → cosine",
    "scores",
)

TABLE_6 = Experiment(
    "table-6",
    "Table 6: the concentration κ",
    "How much does the concentration matter, in pre-training and class layer alike? The trainable one starts at 16 in "
    "pre-training; its class layer keeps 16. "
    "The paper has 67.2, 69.4, 64.9, 61.1 and 68.3 % for these rows on ImageNet-LT with ViT-B/16.",
    (
        Row("κ = 4", _kappa("4")),
        Row("κ = 16", THP_THP),
        Row("κ = 64", _kappa("64")),
        Row("κ = 128", _kappa("128")),
        Row("κ trainable", _kappa("trainable")),
    ),
    "κ = 16",
    "scores",
)

INPUTS = Experiment(
    "inputs",
    "Caption, image, both",
    "What do captions add? They were written by the program that drew the test images, so an accuracy with captions "
    "stands beside the one without, and masked captions beside raw ones.",
    (Row("T-hp", THP_THP), Row("cosine", COSINE_COSINE)),
    "cosine",
    "inputs",
)

EXPERIMENTS = (BASELINES, TABLE_4, TABLE_5, TABLE_6, INPUTS)

EXPECTED = ("LDAM-DRW", "Logit adjustment", "Balanced softmax", "cRT")
"""Rows of the baselines that should beat CE on few-shot accuracy by more than the interval."""


def runs_of(experiments: Iterable[Experiment]) -> list[Run]:
    """Every run that experiments need, each once, after what it starts from; pre-training, which takes long, first."""
    found: dict[str, Run] = {}

    def add(run: Run) -> None:
        if run.start is not None:
            add(run.start)
        if found.setdefault(run.name, run) != run:
            raise ValueError(f"Two runs are called {run.name!r} and differ; expected one of that name.")

    for experiment in experiments:
        for row in experiment.rows:
            add(row.run)
    return sorted(found.values(), key=lambda run: (run.kind != "pretrain", len(starts(run))))


def chosen(names: Sequence[str], experiments: Sequence[Experiment] = EXPERIMENTS) -> list[Run]:
    """The runs that names stand for, with what they start from: experiments, recipes, or KIND/RECIPE; all for none.

    Raises:
        UnknownName: neither an experiment nor a recipe of one.
    """
    everything = runs_of(experiments)
    wanted: dict[str, Run] = {}
    for name in names:
        rows = [run for item in experiments if item.name == name for run in runs_of([item])]
        rows = rows or [run for run in everything if name in (run.recipe, run.name)]
        if not rows:
            known = [*(item.name for item in experiments), *(run.recipe for run in everything)]
            raise UnknownName("experiment or recipe", name, known)
        for run in rows:
            wanted |= {item.name: item for item in (run, *starts(run))}
    return [run for run in everything if run.name in wanted or not names]


def starts(run: Run) -> list[Run]:
    """What a run starts from, what that starts from, and so on."""
    return [] if run.start is None else [run.start, *starts(run.start)]
