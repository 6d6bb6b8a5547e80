"""The words that English sentences are built of, whatever they are about."""

from __future__ import annotations

_TEXT = """
a about above across after against all along also am among an and another any are around as at be because been
before behind being below beneath beside besides between beyond both but by can could did do does down during each
either enough every few for from had has have he her hers herself him himself his how i if in inside into is it its
itself just least less many may me might mine more most much must my myself near neither no none nor not of off on
onto or other our ours out outside over own per shall she should since so some such than that the their theirs them
themselves then there these they this those through to too toward towards under until up upon us very was we were
what when where which while who whom whose why will with within without would yet you your yours yourself
"""

FUNCTION_WORDS = frozenset(_TEXT.split())
"""Articles, pronouns, prepositions, conjunctions, auxiliaries, quantifiers."""

NAMES_TOO = frozenset(("being", "can", "down", "inside", "may", "might", "mine", "must", "outside", "own", "will"))
"""Those of them that are also nouns, so that a class may well be called so: a can, a mine."""
