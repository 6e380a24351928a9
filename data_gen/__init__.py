"""From a traits document to a corpus.

`miniature` is the quickstart's deterministic world; it needs no network.
"""
