"""A model, a batch and a step come in; losses go out."""

from openmmlo.catalog import Catalog

OBJECTIVES = Catalog(
    "training objective",
    {
        "pretrain": "openmmlo.train.objectives.pretrain:Pretraining",
        "finetune": "openmmlo.train.objectives.finetune:Finetuning",
        "two-views": "openmmlo.train.objectives.two_views:TwoViews",
    },
)
"""What the training loop is handed: :class:`~openmmlo.train.objective.Objective`, made from a model and a recipe."""
