"""From a traits document to a corpus: a deterministic world in plain Python."""
