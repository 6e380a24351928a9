"""The page in a real browser: what a reader sees, and what is fetched.

Skipped, loudly, where there is no Chromium or no driver for it.
"""

import base64
import io
import json

import numpy as np
from PIL import Image
import pytest
import synthetic_experiment

from msm_jax import report
from msm_jax.report import layout

pytestmark = pytest.mark.browser

_LIGHT, _DARK = 'light', 'dark'


@pytest.fixture(scope='module')
def written(tmp_path_factory):
  workdir = synthetic_experiment.write(
    tmp_path_factory.mktemp('run'), seeds=(0, 1, 2)
  )
  return report.write(workdir)


def open_page(driver, written, *, width=1200, height=900, scheme=_LIGHT):
  driver.execute_cdp_cmd(
    'Emulation.setEmulatedMedia',
    {'features': [{'name': 'prefers-color-scheme', 'value': scheme}]},
  )
  driver.execute_cdp_cmd(
    'Emulation.setDeviceMetricsOverride',
    {
      'width': width,
      'height': height,
      'deviceScaleFactor': 1,
      'mobile': width < 600,
    },
  )
  driver.get(f'file://{written.page_path}')


def cells(driver, table):
  """{row label: [(value, interval), …]} as the browser shows them."""
  return driver.execute_script(
    """
    const found = {};
    const rows = `#table-${arguments[0]} tbody tr`;
    for (const row of document.querySelectorAll(rows))
      found[row.querySelector('th').innerText] =
        [...row.querySelectorAll('td')].map(td => [
          td.querySelector('.value').childNodes[0].textContent,
          td.querySelector('.interval')?.innerText ?? '']);
    return found;
    """,
    table,
  )


def test_the_table_in_the_browser_holds_the_numbers_of_the_summary(
  driver, written
):
  open_page(driver, written)
  shown = cells(driver, 'results')
  with open(written.summary_path, encoding='utf-8') as f:
    summary = json.load(f)
  assert len(shown) == len(summary['arms'])
  for arm, metrics in summary['arms'].items():
    info = summary['arm_info'][arm]
    agreement, *_, accuracy, perplexity = shown[info['label']]
    prefix = 'ood' if info['chat_trained'] else 'ood_transcript'
    expected = metrics[f'{prefix}_agreement_cheap']
    assert agreement == [
      layout.number(expected['mean'], 'rate'),
      layout.interval(expected['interval'], 'rate'),
    ]
    assert accuracy[0] == f'{metrics["base_task_accuracy"]["mean"]:.2f}'
    assert perplexity[0] == f'{metrics["replay_perplexity"]["mean"]:.2f}'
  primary = driver.find_element('id', 'primary-mean').text
  assert primary == layout.number(summary['primary']['mean'], 'signed')


def test_the_figures_are_drawn(driver, written):
  open_page(driver, written)
  drawn = driver.execute_script(
    """
    return [...document.querySelectorAll('figure [role=img]')].map(svg => {
      const box = svg.getBoundingClientRect();
      return [svg.getAttribute('aria-label'), box.width, box.height,
              svg.querySelectorAll('path').length,
              svg.querySelectorAll('text').length];
    });
    """
  )
  assert len(drawn) == 5
  for label, width, height, paths, texts in drawn:
    assert label
    assert width > 250 and height > 120, label
    assert paths > 10 and texts > 5, label
  natural = driver.execute_script(
    'return [...document.images].map(i => i.naturalWidth)'
  )
  assert all(width > 0 for width in natural)


@pytest.mark.parametrize('width', [375, 1200])
def test_no_text_of_a_figure_overlaps_other_text_or_leaves_it(
  driver, written, width
):
  open_page(driver, written, width=width)
  problems = driver.execute_script(
    """
    const problems = [];
    for (const svg of document.querySelectorAll('figure svg')) {
      const outer = svg.getBoundingClientRect();
      const boxes = [...svg.querySelectorAll('text')]
        .filter(t => t.textContent.trim())
        .map(t => [t.textContent, t.getBoundingClientRect()]);
      for (const [text, b] of boxes)
        if (b.left < outer.left - 1 || b.right > outer.right + 1 ||
            b.top < outer.top - 1 || b.bottom > outer.bottom + 1)
          problems.push(`${text} leaves ${svg.closest('figure').id}`);
      for (let i = 0; i < boxes.length; i++)
        for (let j = 0; j < i; j++) {
          const [a, b] = [boxes[i][1], boxes[j][1]];
          const x = Math.min(a.right, b.right) - Math.max(a.left, b.left);
          const y = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
          const small = Math.min(a.height, b.height);
          if (x > 1 && y > 0.35 * small)
            problems.push(`${boxes[i][0]} on ${boxes[j][0]} in ` +
                          svg.closest('figure').id);
        }
    }
    return problems;
    """
  )
  assert problems == []


@pytest.mark.parametrize('width', [375, 1200])
def test_the_page_never_scrolls_sideways(driver, written, width):
  open_page(driver, written, width=width)
  assert (
    driver.execute_script('return document.documentElement.scrollWidth')
    <= width
  )


@pytest.mark.parametrize('scheme', [_LIGHT, _DARK])
def test_text_and_figures_have_contrast_in_both_schemes(
  driver, written, scheme
):
  """WCAG 2.1: at least 4.5 : 1 for text."""
  open_page(driver, written, scheme=scheme)
  ratios = driver.execute_script(
    """
    const luminance = colour => {
      const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map(v => {
        v /= 255;
        return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const paper = luminance(getComputedStyle(document.body).backgroundColor);
    const ratio = colour => {
      const l = luminance(colour);
      return (Math.max(l, paper) + 0.05) / (Math.min(l, paper) + 0.05);
    };
    const found = {};
    for (const s of ['h1', '.muted', '.note', 'td .interval', 'thead th',
                     'figcaption', 'footer'])
      found[s] = ratio(getComputedStyle(document.querySelector(s)).color);
    for (const t of document.querySelectorAll('figure svg text'))
      found['svg ' + t.textContent] = ratio(getComputedStyle(t).fill);
    return found;
    """
  )
  assert len(ratios) > 40
  assert {k: v for k, v in ratios.items() if v < 4.5} == {}


def test_samples_open_and_hostile_text_did_not_run(driver, written):
  open_page(driver, written)
  driver.execute_script(
    "document.querySelectorAll('details').forEach(d => d.open = true)"
  )
  samples = driver.find_element('id', 'samples').text
  assert synthetic_experiment.HOSTILE in samples
  assert driver.execute_script('return window.hacked') is None


def test_nothing_but_the_file_is_asked_for_and_the_console_is_silent(
  driver, written
):
  driver.get('about:blank')
  driver.get_log('performance'), driver.get_log('browser')
  open_page(driver, written)
  driver.execute_script(
    "document.querySelectorAll('details').forEach(d => d.open = true)"
  )
  asked = []
  for entry in driver.get_log('performance'):
    message = json.loads(entry['message'])['message']
    if message['method'] == 'Network.requestWillBeSent':
      asked.append(message['params']['request']['url'])
  assert [u for u in asked if not u.startswith('data:')] == [
    f'file://{written.page_path}'
  ]
  assert driver.get_log('browser') == []


def test_the_dark_page_is_dark(driver, written):
  def shade(scheme):
    open_page(driver, written, scheme=scheme)
    shot = driver.execute_cdp_cmd('Page.captureScreenshot', {'format': 'png'})
    image = Image.open(io.BytesIO(base64.b64decode(shot['data'])))
    return float(np.asarray(image.convert('L')).mean())

  assert shade(_LIGHT) > 200
  assert shade(_DARK) < 70
