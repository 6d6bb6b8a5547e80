"""Logits and targets come in; a loss goes out, one a file."""
