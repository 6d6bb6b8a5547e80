"""Commands that run the experiments of the documentation, and write its page of them."""
