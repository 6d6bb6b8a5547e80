"""Commands of the leaderboard: submit a result, and score, check, draw and publish a board."""
