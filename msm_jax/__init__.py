"""Model-spec midtraining in JAX: from traits to a checkpoint, with evidence.

Importing this package imports no JAX: `storage`, `evals.suites` and `report`
are usable without it.
"""

__version__ = '0.1.0.dev0'
