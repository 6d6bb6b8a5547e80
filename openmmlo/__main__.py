"""``python -m openmmlo`` is the command line."""

from __future__ import annotations

import sys

from openmmlo.cli import main

sys.exit(main())
