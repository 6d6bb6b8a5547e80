"""Labels, predictions and scores come in as NumPy arrays; numbers go out. Nothing here needs torch."""
