"""T-hp, the reference model: configuration, networks, head, tokenizer, and the door to evaluation."""
