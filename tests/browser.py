"""A headless Chromium for tests; skipped, loudly, where there is none."""

from collections.abc import Iterator
import contextlib
import pathlib
import shutil
from typing import Any
import warnings

import pytest

_FLAGS = (
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
  '--hide-scrollbars',
)
_SCRIPT_SECONDS = 120


def _skip(reason: str) -> None:
  warnings.warn(f'BROWSER TEST SKIPPED: {reason}', stacklevel=2)
  pytest.skip(reason)


@contextlib.contextmanager
def started(profile: pathlib.Path) -> Iterator[Any]:
  """Yields a Selenium driver that logs console and network."""
  selenium = pytest.importorskip('selenium.webdriver')
  from selenium.webdriver.chrome.service import Service

  chromium = shutil.which('chromium') or shutil.which('google-chrome')
  chromedriver = shutil.which('chromedriver')
  if chromium is None or chromedriver is None:
    _skip(f'chromium: {chromium}, chromedriver: {chromedriver}')
  options = selenium.ChromeOptions()
  options.binary_location = chromium
  for flag in _FLAGS:
    options.add_argument(flag)
  options.add_argument(f'--user-data-dir={profile}')
  options.set_capability(
    'goog:loggingPrefs', {'browser': 'ALL', 'performance': 'ALL'}
  )
  driver = selenium.Chrome(options=options, service=Service(chromedriver))
  driver.set_script_timeout(_SCRIPT_SECONDS)
  try:
    yield driver
  finally:
    driver.quit()
