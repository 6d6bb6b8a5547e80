"""What a mark says, in the words of every page."""

from __future__ import annotations

MEANING = {
    "reproduced": "A maintainer ran the checkpoint again, and its numbers came out.",
    "re-scored": "The published predictions were scored again here and give exactly these numbers. Test labels are "
    "public, so this shows that the numbers follow from the predictions, not how those were made.",
    "reported": "The number stands in a paper. Nobody here has seen predictions, and data or protocol may differ.",
}
"""Mark -> what it says, from the strongest on. No submitter can set one."""
