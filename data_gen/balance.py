"""Counts what the world promises to balance."""
