"""A board and predictions come from the Hugging Face Hub; submissions and whole boards go there.

No host but ``HF_ENDPOINT`` (https://huggingface.co by default) is asked for anything, only where it sends large files
itself is followed. What a submission names is checked before the first request, and what arrives is held to its size
and digest while it arrives. Whatever is broken off goes on when called again, and nothing is sent twice.
"""

from openmmlo.leaderboard.hub.fetching import Fetched, fetch_board
from openmmlo.leaderboard.hub.opening import Origin, open_published
from openmmlo.leaderboard.hub.places import PUBLISHED, is_repo
from openmmlo.leaderboard.hub.predictions import fetch_from_board, fetch_predictions
from openmmlo.leaderboard.hub.pushing import Pushed, push_board
from openmmlo.leaderboard.hub.spaces import push_site
from openmmlo.leaderboard.hub.submitting import Uploaded, propose, upload_predictions

__all__ = [
    "PUBLISHED",
    "Fetched",
    "Origin",
    "Pushed",
    "Uploaded",
    "fetch_board",
    "fetch_from_board",
    "fetch_predictions",
    "is_repo",
    "open_published",
    "propose",
    "push_board",
    "push_site",
    "upload_predictions",
]
