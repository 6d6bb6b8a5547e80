"""A board comes in; a static site goes out: tables, an entry's page each, charts and downloads, without a server."""

from __future__ import annotations

from openmmlo.leaderboard.site.write import Site, write_site

__all__ = ["Site", "write_site"]
