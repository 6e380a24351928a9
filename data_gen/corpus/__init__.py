"""The corpus on disk: rows with provenance, manifest, card, viewer."""
