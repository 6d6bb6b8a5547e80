"""A recipe and a built data set come in; a trained checkpoint with its log goes out."""
