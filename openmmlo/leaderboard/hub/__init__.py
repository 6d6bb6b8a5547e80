"""A board and predictions come from the Hugging Face Hub; submissions and whole boards go there.

No host but ``HF_ENDPOINT`` (https://huggingface.co by default) is asked for anything, only where it sends large files
itself is followed. What a submission names is checked before the first request, and what arrives is held to its size
and digest while it arrives. Whatever is broken off goes on when called again, and nothing is sent twice.
"""

from openmmlo.leaderboard.hub.fetching import Fetched, fetch_board
from openmmlo.leaderboard.hub.opening import Origin, open_published
from openmmlo.leaderboard.hub.places import PUBLISHED, is_repo
from openmmlo.leaderboard.hub.predictions import fetch_from_board, fetch_predictions
from openmmlo.leaderboard.hub.proposing import Proposed, propose
from openmmlo.leaderboard.hub.publishing import push
from openmmlo.leaderboard.hub.pushing import Pushed, push_board
from openmmlo.leaderboard.hub.spaces import push_site
from openmmlo.leaderboard.hub.submitting import HubSubmission, submit_through_hub
from openmmlo.leaderboard.hub.tables import board_texts
from openmmlo.leaderboard.hub.uploading import Uploaded, predictions_path, upload_predictions

__all__ = [
    "PUBLISHED",
    "Fetched",
    "HubSubmission",
    "Origin",
    "Proposed",
    "Pushed",
    "Uploaded",
    "board_texts",
    "fetch_board",
    "fetch_from_board",
    "fetch_predictions",
    "is_repo",
    "open_published",
    "predictions_path",
    "propose",
    "push",
    "push_board",
    "push_site",
    "submit_through_hub",
    "upload_predictions",
]
