"""What the leaderboard's commands print."""
