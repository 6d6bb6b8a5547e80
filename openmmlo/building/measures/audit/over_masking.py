"""How many masks hide a word that would stand there anyway, whatever the image shows."""

from __future__ import annotations

from collections import Counter
from typing import Any

from openmmlo.building.masking import Lexicon
from openmmlo.building.masking.finder import joined
from openmmlo.building.measures.audit.reading import Rows

TOP = 20


def over_masking(
    rows: Rows, lexicon: Lexicon, level: str, captions: Counter[str], names: dict[str, str]
) -> dict[str, Any]:
    """Masked captions that the background rate of their forms explains.

    Of a form f of class c: m captions of c hold it, of n. Of the N captions of classes that do not have f, b hold it
    too. Then min(m, n b / N) of the m are explained; the rate is the sum of these over the sum of m.

    Args:
        captions: class key -> captions in distribution.
    """
    owners: dict[str, set[str]] = {}
    for key in captions:
        for item in lexicon.forms(key, level):
            owners.setdefault(joined(item), set()).add(key)
    total = captions.total()
    found: list[tuple[float, str, str, int]] = []
    for (key, form), masked in rows.forms.masked.items():
        others = total - sum(captions[owner] for owner in owners.get(form, ()))
        outside = rows.forms.captions[form] - rows.forms.inside[form]
        expected = captions[key] * outside / others if others else 0.0
        found.append((min(float(masked), expected), key, form, masked))
    found.sort(key=lambda item: (-item[0], item[1], item[2]))
    explained, masked = sum(item[0] for item in found), sum(item[3] for item in found)
    several = {form for form, keys in owners.items() if len(keys) > 1}
    return {
        "captions_and_forms": masked,
        "explained": explained,
        "rate": explained / masked if masked else None,
        "forms": [
            {
                "form": _spelling(lexicon, key, level, form),
                "class_key": key,
                "name": names.get(key, ""),
                "captions": count,
                "explained": expected,
                "rate": expected / count,
            }
            for expected, key, form, count in found[:TOP]
            if expected > 0
        ],
        "words_hidden": {
            group: {"words": rows.words[group], "hidden": rows.hidden_words[group], "rate": _rate(rows, group)}
            for group in ("id", "ood")
        },
        "ood": {
            "masks": rows.masks_in_ood,
            "of_other_classes": rows.foreign_masks,
            "rate": rows.foreign_masks / rows.masks_in_ood if rows.masks_in_ood else None,
        },
        "ambiguous_forms": {
            "forms": len(owners),
            "ambiguous": len(several),
            "rate": len(several) / len(owners) if owners else None,
            "masked": sum(item[3] for item in found if item[2] in several),
        },
    }


def _rate(rows: Rows, group: str) -> float | None:
    return rows.hidden_words[group] / rows.words[group] if rows.words[group] else None


def _spelling(lexicon: Lexicon, key: str, level: str, form: str) -> str:
    return min(item.text for item in lexicon.forms(key, level) if joined(item) == form)
