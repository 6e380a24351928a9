"""The project's logger: our lines on the terminal, others' warnings only."""

import logging
import sys

from absl import logging as absl_logging

logger = logging.getLogger('msm_jax')


def configure() -> None:
  """Sends our log to stderr; called by entry points, not by libraries.

  Libraries that log through absl (Orbax writes dozens of lines a checkpoint)
  are heard from warnings up.
  """
  absl_logging.set_verbosity(absl_logging.WARNING)
  handler = logging.StreamHandler(sys.stderr)
  handler.setFormatter(logging.Formatter('%(message)s'))
  logger.handlers = [handler]
  logger.setLevel(logging.INFO)
  logger.propagate = False
