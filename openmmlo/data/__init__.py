"""A folder that ``openmmlo build`` wrote comes in; its rows, classes and manifest go out, as Arrow batches."""

from openmmlo.data.dataset import BuiltDataset, open_dataset

__all__ = ["BuiltDataset", "open_dataset"]
