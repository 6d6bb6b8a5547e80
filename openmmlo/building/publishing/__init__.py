"""A built data set comes in and is on the Hub, or comes from there; what lies on disk is held against its manifest.

``push`` publishes, ``pull`` fetches, ``verify`` checks. Whatever is broken off goes on when called again, and nothing
that arrived is sent twice. No host but ``HF_ENDPOINT`` (https://huggingface.co by default) is contacted.
"""

from openmmlo.building.publishing.hub import Patience
from openmmlo.building.publishing.pull import PullResult, pull
from openmmlo.building.publishing.push import PushConfig, PushResult, push
from openmmlo.building.publishing.verification import Verification, verify

__all__ = ["Patience", "PullResult", "PushConfig", "PushResult", "Verification", "pull", "push", "verify"]
