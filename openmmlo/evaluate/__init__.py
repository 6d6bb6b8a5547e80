"""A model and a benchmark come in; feature banks, predictions, a result and a page to look at go out."""
