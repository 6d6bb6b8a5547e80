"""Classes come in; the texts that stand for them in zero-shot classification go out."""
