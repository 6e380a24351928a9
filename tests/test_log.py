import subprocess
import sys

_CODE = """
from absl import logging as absl_logging
from msm_jax import log

log.configure()
log.configure()
absl_logging.info('their detail')
absl_logging.warning('their warning')
log.logger.info('our line')
"""


def test_our_lines_and_others_warnings_are_on_stderr_once():
  done = subprocess.run(
    [sys.executable, '-c', _CODE], capture_output=True, check=True, text=True
  )
  assert done.stdout == ''
  assert done.stderr.count('our line\n') == 1
  assert done.stderr.splitlines()[-1] == 'our line'
  assert 'their warning' in done.stderr
  assert 'their detail' not in done.stderr
