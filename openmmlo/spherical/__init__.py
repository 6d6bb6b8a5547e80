"""Unit vectors come in; similarities of the paper and its peers and the normalised T-hp distribution go out."""
