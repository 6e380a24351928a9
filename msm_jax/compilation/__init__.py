"""Compiled programs, and what they need of chips that are not there."""
