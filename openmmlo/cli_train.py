"""Commands that train: pre-training and fine-tuning by recipe."""
