"""Measures written by hand in the shape that openmmlo gives them, with numbers that a page must show."""

from __future__ import annotations

from typing import Any

SIZES = {"train": 201, "test": 30, "open": 13}


def share(rate: float, captions: int) -> dict[str, Any]:
    return {"captions": round(rate * captions), "rate": rate}


def words(scale: int, nouns: dict[str, Any] | None = None) -> dict[str, Any]:
    counts = [1000 * scale, 500 * scale, 330 * scale, 250 * scale, 12, 3, 1]
    names = ["small", "fox", "stones", "the", "rests", "frog", "once"]
    return {
        "tokens": sum(counts),
        "types": len(counts),
        "hapaxes": 1,
        "gini": 0.625,
        "pareto": {"types": 0.2, "tokens": 0.71},
        "zipf": {"slope": -1.25, "intercept": 3.0, "r2": 0.875, "first_rank": 1, "last_rank": 5, "least_count": 5},
        "top": [list(pair) for pair in zip(names, counts, strict=True)],
        "rank_frequency": [[rank, count] for rank, count in enumerate(counts, 1)],
        "nouns": nouns,
    }


def statistics() -> dict[str, Any]:
    spearman = {"spearman": {"rho": 0.9375, "p": 0.01, "classes": 5}}
    block = {"rows": 244, "raw": words(2, words(1)), "masked": words(1, words(1)), "naming": spearman}
    training = {"classes": 5, "images": 201, "gini": 0.5625, "pareto": {"classes": 0.2, "images": 0.6468}}
    return {"format": 1, "wordnet": "3.0", "training": training, "splits": {"train": block, "all": block}}


def leaks(rate: float) -> dict[str, Any]:
    kinds = ("name", "inflection", "head", "hypernym", "compound", "misspelling")
    groups = {"many": 130, "medium": 61, "few": 10, "ood": 13}

    def block(captions: int) -> dict[str, Any]:
        found = {kind: share(rate / (place + 1), captions) for place, kind in enumerate(kinds)}
        return {"captions": captions, "any": share(rate, captions), "kinds": found}

    whole = {**block(244), "groups": {name: block(captions) for name, captions in groups.items()}}
    return {"all": whole, **{split: {**block(captions), "groups": {}} for split, captions in SIZES.items()}}


def audit() -> dict[str, Any]:
    accuracy = {"raw": 0.9375, "masked": 0.1875, "majority": 0.25, "chance": 0.2}
    results = {
        rule: {"all": value, "samples": 30, "many": value, "medium": value / 2, "few": None}
        for rule, value in accuracy.items()
    }
    return {
        "format": 1,
        "level": "hypernym",
        "lexicon_hash": "e" * 64,
        "lexicon_version": "2",
        "masks": {
            "id": {"captions": 231, "masked": 230, "rate": 0.9957, "masks_per_caption": 2.0},
            "ood": {"captions": 13, "masked": 9, "rate": 0.6923, "masks_per_caption": 0.75},
        },
        "leaks": leaks(0.0425),
        "unmasked": leaks(0.8125),
        "examples": [
            {
                "sample_id": "test/n3-0001",
                "split": "test",
                "class_key": "n3",
                "kind": "head",
                "found": "frog",
                "text": "A [mask] and a Frog.",
            },
        ],
        "worst_classes": [{"class_key": "n3", "name": "tree frog", "captions": 27, "leaking": 9, "rate": 0.3333}],
        "other_classes": share(0.0575, 244),
        "over_masking": {"rate": 0.0033},
        "classifier": {
            "model": "logistic regression",
            "features": "words",
            "trained_on": "train",
            "tested_on": "test",
            "vocabulary": 99,
            "results": results,
        },
        "shortcuts": {
            "caption_length": {"auroc": 0.6125, "id": 231, "ood": 13},
            "mask_count": {"auroc": 0.8875, "id": 231, "ood": 13},
        },
    }


def quality() -> dict[str, Any]:
    def card(captions: int) -> dict[str, Any]:
        lengths = {"mean": 11.5, "median": 11.0, "p05": 9.0, "p95": 14.0, "max": 15}
        rates = {"refusals": 0.0, "empty": 0.0, "near_duplicates": 0.1725, "strange_new_rate": 0.0475}
        return {
            "captions": captions,
            "words": lengths,
            "characters": {key: 5 * value for key, value in lengths.items()},
            "truncated": {"clip": share(0.0325, captions), "bert": None},
            "prompt_echoes": None,
            **{key: share(value, captions) for key, value in rates.items()},
        }

    return {
        "format": 1,
        "limits": [
            {"encoder": "clip", "tokenizer": "clip", "tokens": 77, "reason": None},
            {"encoder": "bert", "tokenizer": "bert", "tokens": 512, "reason": "not at hand"},
        ],
        "groups": {
            name: card(size) for name, size in (("all", 244), ("many", 130), ("medium", 61), ("few", 40), ("ood", 13))
        },
        "splits": {split: card(size) for split, size in SIZES.items()},
        "clusters": [
            {
                "captions": 7,
                "texts": 2,
                "classes": 1,
                "splits": {"open": 7},
                "sample_id": "open/0003",
                "split": "open",
                "text": "Something with 3 edges.",
            },
        ],
        "examples": [
            {"kind": "near_duplicates", "sample_id": "test/n1-0002", "split": "test", "text": "A small red fox."}
        ],
    }


def measures() -> dict[str, dict[str, Any] | None]:
    return {"stats": statistics(), "quality": quality(), "audit": audit()}
