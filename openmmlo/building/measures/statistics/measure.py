"""Statistics of a built data set, one value for stats.json."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from openmmlo import __version__
from openmmlo.building.measures.statistics.counting import count_dataset, total
from openmmlo.building.measures.statistics.frequencies import split_block, training_block
from openmmlo.building.measures.statistics.label_nouns import FILE, write_label_nouns
from openmmlo.building.measures.statistics.tails import rounded
from openmmlo.building.wordnet import find_wordnet
from openmmlo.data import BuiltDataset
from openmmlo.progress import Progress, Silent

FORMAT = 1


def measure_statistics(
    dataset: BuiltDataset, progress: Progress | None = None, processes: int | None = None
) -> dict[str, Any]:
    """Class and word frequencies of every split and of all together, captions as written against masked ones.

    Where WordNet is at hand nouns and pairs of label and noun are counted too, and ``label_noun_counts.csv`` is
    written into the data set's folder; where it is not, such a file of an earlier run is removed.

    Args:
        processes: that count side by side; as many as there are cores for a large data set where None. The numbers
            are the same with any.

    Raises:
        DataError: a file or the lexicon is missing or damaged.
        WorkerDied: a process was killed.
    """
    progress = Silent() if progress is None else progress
    digest = dataset.digest  # a manifest that lacks something is found out before the counting
    wordnet = find_wordnet()
    is_noun: Callable[[str], bool] | None = None if wordnet is None else wordnet.is_noun
    counted = count_dataset(dataset, is_noun, progress, processes)
    everything = total(counted, len(dataset.info.classes))
    training = dataset.class_counts
    table = None
    if everything.pairs is not None:
        table = write_label_nouns(dataset.folder, everything.pairs, counted.vocabulary.words, dataset.info)
    else:
        (dataset.folder / FILE).unlink(missing_ok=True)
    splits = {**counted.splits, "all": everything}
    value: dict[str, Any] = rounded(
        {
            "format": FORMAT,
            "openmmlo": __version__,
            "dataset": digest,
            "wordnet": None if wordnet is None else wordnet.version,
            "training": training_block(training),
            "label_noun_counts": table,
            "splits": {name: split_block(counts, counted, dataset.info, training) for name, counts in splits.items()},
        }
    )
    return value
