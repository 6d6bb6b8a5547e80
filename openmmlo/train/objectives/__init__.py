"""A model, a batch and a step come in; losses go out."""
