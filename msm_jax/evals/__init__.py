"""Scorers, suites and statistics. `suites` and `statistics` need no JAX."""
