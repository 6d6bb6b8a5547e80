"""A caption with its mask comes in; its pieces go out, so that a page can show either text and mark what changed."""

from __future__ import annotations

import re
from collections.abc import Sequence

Piece = str | list[str]
"""Text that both versions share, or [as written, masked]."""


def pieces(raw: str, masked: str, spans: Sequence[tuple[int, int]], longest: int) -> list[Piece]:
    """Cut a caption where its mask begins and ends.

    What lies beyond ``longest`` characters is cut off, with an ellipsis.

    The texts of the pieces, joined, are the caption as written or masked. Where the masked caption does not follow
    from the spans (files that another program changed), one pair holds both as wholes.
    """
    shared, hidden, done = [], [], 0
    for start, end in spans:
        if not done <= start < end <= len(raw):
            return _whole(raw, masked, longest)
        shared.append(raw[done:start])
        hidden.append(raw[start:end])
        done = end
    shared.append(raw[done:])
    replaced = _replacements(masked, shared)
    if replaced is None:
        return _whole(raw, masked, longest)
    found: list[Piece] = []
    for place, text in enumerate(shared):
        if text:
            found.append(text)
        if place < len(hidden):
            found.append([hidden[place], replaced[place]])
    return _cut(found, longest)


def _replacements(masked: str, shared: Sequence[str]) -> list[str] | None:
    """What stands in the masked caption between the shared texts: ``[mask]`` or ``[mask]s`` each time.

    A plural's s is told from text that begins with one by what follows; only a caption in which all of that is "s" too
    leaves a choice, and then either reading gives the same text.
    """
    if not masked.startswith(shared[0]):
        return None
    # Reading from the left, every way to have read so far: (position, plural?) by position, so that the work is linear.
    ways: list[dict[int, tuple[int, str]]] = []
    at = {len(shared[0])}
    for text in shared[1:]:
        reached: dict[int, tuple[int, str]] = {}
        for position in sorted(at):
            for mask in ("[mask]s", "[mask]"):
                end = position + len(mask)
                if masked.startswith(mask, position) and masked.startswith(text, end):
                    reached.setdefault(end + len(text), (position, mask))
        ways.append(reached)
        at = set(reached)
    position = len(masked)
    if position not in at:
        return None
    found = []
    for reached in reversed(ways):
        position, mask = reached[position]
        found.append(mask)
    return found[::-1]


def _whole(raw: str, masked: str, longest: int) -> list[Piece]:
    if raw == masked:
        return _cut([raw], longest) if raw else []
    return [[_short(raw, longest), _short(masked, longest)]]


def _cut(found: list[Piece], longest: int) -> list[Piece]:
    kept: list[Piece] = []
    left = longest
    for piece in found:
        if isinstance(piece, list):
            if len(piece[0]) > left:
                kept.append("…")
                break
            kept.append(piece)
            left -= len(piece[0])
        else:
            kept.append(_short(piece, left))
            left -= len(piece)
        if left <= 0:
            break
    return kept


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: max(longest, 0)].rstrip() + "…"


def segments(text: str, marked: Sequence[str]) -> list[tuple[str, str]]:
    """Cut a masked caption at its masks and at every occurrence of some words, ignoring letter case.

    Returns (text, kind) pairs; kind is "mask", "found" or "".
    """
    wanted = sorted({word for word in marked if word}, key=lambda word: (-len(word), word))
    words = f"|(?P<found>{'|'.join(map(re.escape, wanted))})" if wanted else ""
    expression = re.compile(rf"(?P<mask>\[mask\]s?){words}", re.IGNORECASE)
    found: list[tuple[str, str]] = []
    done = 0
    for match in expression.finditer(text):
        found += [(text[done : match.start()], ""), (match.group(), match.lastgroup or "")]
        done = match.end()
    return [item for item in [*found, (text[done:], "")] if item[0]]
