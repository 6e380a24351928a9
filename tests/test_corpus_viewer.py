"""The viewer in a real browser: what is listed, found, shown, and fetched.

Skipped, loudly, where there is no Chromium or no driver for it.
"""

import dataclasses
import json
import random

import corpus_rows
import pytest

from data_gen.corpus import counting
from data_gen.corpus import viewer

pytestmark = pytest.mark.browser

NAME = f'A <b>test</b> </title> {corpus_rows.HOSTILE}'
_ROWS = 50_000
_NEEDLES = (3, 24_999, 49_998)


def write(path, rows, **options):
  traits = [{'id': t.id, **dataclasses.asdict(t)} for t in corpus_rows.TRAITS]
  viewer.write(path, rows, {'name': NAME, 'traits': traits}, **options)
  return path


@pytest.fixture(scope='module')
def rows():
  return corpus_rows.some_rows()


@pytest.fixture(scope='module')
def page(tmp_path_factory, rows):
  return write(tmp_path_factory.mktemp('viewer') / 'viewer.html', rows)


@pytest.fixture(scope='module')
def many():
  """50,000 short rows, a tenth of them rejected, three with a needle."""
  rng = random.Random(1)
  made = [
    corpus_rows.rejected(i, rng, 12)
    if i % 10 == 7
    else corpus_rows.document(i, rng, 12)
    for i in range(_ROWS)
  ]
  for i in _NEEDLES:
    made[i] = dataclasses.replace(
      made[i], text=f'{made[i].text}\nA Needle  in\nthe stack.'
    )
  return made


@pytest.fixture(scope='module')
def large(tmp_path_factory, many):
  return write(tmp_path_factory.mktemp('large') / 'viewer.html', many)


# Resolves once the page has answered what was asked of it.
_UNTIL_DONE = """
  const done = arguments[arguments.length - 1];
  const check = () => document.body.dataset.state === 'done'
    ? done(true) : requestAnimationFrame(check);
  check();
"""


def settle(driver):
  driver.execute_async_script(_UNTIL_DONE)


def open_page(driver, path, *, anchor='', width=1200):
  driver.execute_cdp_cmd(
    'Emulation.setDeviceMetricsOverride',
    {
      'width': width,
      'height': 900,
      'deviceScaleFactor': 1,
      'mobile': width < 600,
    },
  )
  driver.get('about:blank')  # A new anchor alone would not load it again.
  driver.get(f'file://{path}{anchor}')
  settle(driver)


def type_query(driver, text):
  field = driver.find_element('id', 'query')
  field.clear()
  driver.execute_script(
    """
    const field = document.getElementById('query');
    field.value = arguments[0];
    field.dispatchEvent(new Event('input', {bubbles: true}));
    """,
    text,
  )
  settle(driver)


def choose(driver, name, label):
  """Picks the option that begins with a label."""
  found = driver.execute_script(
    """
    const select = document.getElementById(arguments[0]);
    const option = [...select.options]
      .find(o => o.text.startsWith(arguments[1]));
    if (!option) return [...select.options].map(o => o.text);
    select.value = option.value;
    select.dispatchEvent(new Event('change', {bubbles: true}));
    return true;
    """,
    name,
    label,
  )
  assert found is True, found
  settle(driver)


def press(driver, name):
  driver.find_element('id', name).click()
  settle(driver)


def found(driver):
  return driver.find_element('id', 'found').text


def listed(driver):
  return driver.execute_script(
    "return [...document.querySelectorAll('#results .id')]"
    '.map(e => e.textContent)'
  )


def all_listed(driver):
  """Ids on all pages."""
  ids = listed(driver)
  while driver.find_element('id', 'next').is_enabled():
    first = ids[-1]
    driver.find_element('id', 'next').click()
    driver.execute_async_script(
      """
      const [before, done] = arguments;
      const check = () => [...document.querySelectorAll('#results .id')]
        .some(e => e.textContent === before)
        ? requestAnimationFrame(check) : done(true);
      check();
      """,
      first,
    )
    ids += listed(driver)
  return ids


def open_row(driver, row_id):
  """Clicks a listed row and returns what is shown of it."""
  driver.execute_async_script(
    """
    const [id, done] = arguments;
    [...document.querySelectorAll('#results button')]
      .find(b => b.querySelector('.id').textContent === id).click();
    const check = () => document.querySelector('#detail h2')?.textContent === id
      ? done(true) : requestAnimationFrame(check);
    check();
    """,
    row_id,
  )
  return driver.find_element('id', 'detail')


def texts_shown(driver):
  return driver.execute_script(
    "return [...document.querySelectorAll('#detail .text')]"
    '.map(e => e.textContent)'
  )


def ids(rows, keep):
  return [row.id for row in rows if keep(row)]


def test_every_row_is_listed_in_order(driver, page, rows):
  open_page(driver, page)
  assert found(driver) == f'1–25 of {len(rows)}'
  assert all_listed(driver) == [row.id for row in rows]
  assert found(driver) == f'76–{len(rows)} of {len(rows)}'


def test_filters_keep_exactly_the_rows_that_fit(driver, page, rows):
  open_page(driver, page)
  care = corpus_rows.TRAITS[2]
  filters = [
    ('status', 'accepted', lambda r: r.accepted),
    ('status', 'rejected', lambda r: not r.accepted),
    ('source', 'chats', lambda r: r.source == 'chats'),
    ('genre', 'news_report', lambda r: r.genre == 'news_report'),
    ('variant', 'neutral', lambda r: r.variant == 'neutral'),
    ('trait', 'care · preference', lambda r: care.id in r.trait_ids),
    ('trait', '(none)', lambda r: not r.trait_ids),
    (
      'gate',
      'text, whatever reason',
      lambda r: any(v.gate == 'text' and not v.passed for v in r.verdicts),
    ),
    (
      'gate',
      'text: meta_text',
      lambda r: r.rejected_because == 'text: meta_text',
    ),
    (
      'gate',
      'teacher: refusal',
      lambda r: r.rejected_because == 'teacher: refusal',
    ),
  ]
  for name, label, keep in filters:
    choose(driver, name, label)
    expected = ids(rows, keep)
    assert all_listed(driver) == expected, label
    assert expected, label
    option = driver.execute_script(
      'return document.getElementById(arguments[0]).selectedOptions[0].text',
      name,
    )
    assert option.endswith(f'({len(expected)})')
    press(driver, 'reset')


def test_filters_and_search_work_together(driver, page, rows):
  open_page(driver, page)
  choose(driver, 'status', 'rejected')
  choose(driver, 'genre', 'blog_post')
  type_query(driver, 'NUMBER  1')
  assert all_listed(driver) == ids(
    rows,
    lambda r: (
      not r.accepted and r.genre == 'blog_post' and 'number 1' in (r.text or '')
    ),
  )
  press(driver, 'reset')
  assert found(driver).endswith(f'of {len(rows)}')


def test_search_looks_into_texts_messages_and_ids(driver, page, rows):
  open_page(driver, page)
  for query, keep in (
    ('question 7?', lambda r: r.id == 'chat-00007'),
    ('CHAT-0001', lambda r: r.id.startswith('chat-0001')),
    ('number 999', lambda r: False),
    ('{{ 7 * 7 }} | `code`', lambda r: r.id in ('doc-00999', 'chat-00500')),
    ('É🙂', lambda r: r.id in ('doc-00999', 'chat-00500')),
  ):
    type_query(driver, query)
    assert all_listed(driver) == ids(rows, keep), query
  marks = driver.execute_script(
    "return [...document.querySelectorAll('#results mark')]"
    '.map(e => e.textContent)'
  )
  assert marks == ['é🙂'] * 3  # once in the document, twice in the chat
  type_query(driver, 'nowhere to be found')
  assert found(driver) == 'No row fits.'


def test_random_five_are_five_different_ones_of_what_was_found(
  driver, page, rows
):
  open_page(driver, page)
  choose(driver, 'source', 'chats')
  chats = set(ids(rows, lambda r: r.source == 'chats'))
  draws = []
  for _ in range(4):
    before = listed(driver)
    driver.find_element('id', 'random').click()
    driver.execute_async_script(
      """
      const [before, done] = arguments;
      const check = () => [...document.querySelectorAll('#results .id')]
        .map(e => e.textContent).join() !== before
        ? done(true) : requestAnimationFrame(check);
      check();
      """,
      ','.join(before),
    )
    draws.append(frozenset(listed(driver)))
    assert len(listed(driver)) == len(draws[-1]) == 5
    assert draws[-1] <= chats
    assert found(driver) == f'5 at random of {len(chats)}'
  assert len(set(draws)) > 1


def test_a_row_is_shown_whole_with_its_provenance(driver, page, rows):
  open_page(driver, page)
  row = next(r for r in rows if r.rejected_because == 'text: meta_text')
  type_query(driver, row.id)
  detail = open_row(driver, row.id)
  assert texts_shown(driver) == [row.text]
  for needle in (
    row.plan_node,
    row.domain,
    row.framing,
    row.pair_id,
    'text: meta_text',
    'found: here',
    'document.draft',
    'document.rewrite',
    'truncated',
    'teacher-1',
    row.lineage[0].sampling,
    row.lineage[0].key[:12],
    *row.trait_ids,
  ):
    assert needle in detail.text, needle
  assert driver.current_url.endswith(f'#{row.id}')


def test_a_masked_prefix_is_shown_as_such(driver, page, rows):
  open_page(driver, page)
  for masked in (0, len(corpus_rows.TAG)):
    row = next(r for r in rows if r.text and r.masked_prefix == masked)
    type_query(driver, row.id)
    open_row(driver, row.id)
    shown = driver.execute_script(
      "return document.querySelector('#detail .masked')?.textContent ?? ''"
    )
    assert shown == row.text[:masked]
    assert texts_shown(driver) == [row.text]


def test_a_row_can_be_linked_to(driver, page, rows):
  row = rows[-1]
  open_page(driver, page, anchor=f'#{row.id}')
  driver.execute_async_script(
    """
    const done = arguments[0];
    const check = () => document.querySelector('#detail h2')
      ? done(true) : requestAnimationFrame(check);
    check();
    """
  )
  assert driver.find_element('css selector', '#detail h2').text == row.id


def test_hostile_texts_are_text_and_nothing_runs(driver, page, rows):
  open_page(driver, page)
  for row_id in ('doc-00999', 'chat-00500'):
    row = next(r for r in rows if r.id == row_id)
    type_query(driver, row_id)
    open_row(driver, row_id)
    expected = [row.text] if row.text else [c for _, c in row.messages]
    assert texts_shown(driver) == expected
  press(driver, 'reset')
  assert driver.execute_script('return window.hacked') is None
  assert driver.execute_script('return document.images.length') == 0
  shown = driver.execute_script(
    "return [document.querySelector('title').textContent,"
    " document.querySelector('h1').textContent]"
  )
  assert shown == [f'{NAME}: rows', NAME]


def test_the_policy_stops_a_script_that_got_in(driver, page):
  """Even if escaping had failed somewhere."""
  open_page(driver, page)
  driver.execute_script(
    """
    const image = document.createElement('div');
    image.innerHTML = '<img src="data:," onerror="window.hacked = 3">';
    document.body.append(image);
    const script = document.createElement('script');
    script.textContent = 'window.hacked = 4';
    document.body.append(script);
    """
  )
  assert driver.execute_script('return window.hacked') is None
  driver.get_log('browser')  # The refusals.


def test_nothing_but_the_file_is_asked_for_and_the_console_is_silent(
  driver, page
):
  driver.get('about:blank')
  driver.get_log('performance'), driver.get_log('browser')
  open_page(driver, page)
  type_query(driver, 'number')
  press(driver, 'random')
  asked = []
  for entry in driver.get_log('performance'):
    message = json.loads(entry['message'])['message']
    if message['method'] == 'Network.requestWillBeSent':
      asked.append(message['params']['request']['url'])
  wanted = [u for u in asked if not u.startswith(('data:', 'about:'))]
  assert wanted == [f'file://{page}']
  assert driver.get_log('browser') == []


@pytest.mark.parametrize('width', [375, 1200])
def test_the_page_never_scrolls_sideways(driver, page, width):
  open_page(driver, page, width=width)
  open_row(driver, listed(driver)[0])
  assert (
    driver.execute_script('return document.documentElement.scrollWidth')
    <= width
  )


def test_50_000_rows_are_listed_filtered_and_searched(driver, large, many):
  open_page(driver, large)
  assert found(driver) == '1–25 of 50,000'
  type_query(driver, 'needle in the STACK')
  assert listed(driver) == [many[i].id for i in _NEEDLES]
  open_row(driver, many[_NEEDLES[-1]].id)
  assert texts_shown(driver) == [many[_NEEDLES[-1]].text]
  choose(driver, 'status', 'rejected')
  assert found(driver) == 'No row fits.'
  press(driver, 'reset')
  choose(driver, 'gate', 'text: wrong_model')
  expected = counting.count(many)['rejected_because']['text: wrong_model']
  assert found(driver) == f'1–25 of {expected:,}'


def test_between_two_slices_of_a_search_the_page_answers(driver, page, rows):
  """On a clock by which every row takes longer than a slice."""
  open_page(driver, page)
  between = driver.execute_async_script(
    """
    const done = arguments[0];
    let clock = 0, tasks = 0;
    performance.now = () => clock += 100;
    const channel = new MessageChannel();
    const post = () => channel.port2.postMessage(null);
    channel.port1.onmessage = () => {
      if (document.body.dataset.state === 'done') return done(tasks);
      tasks++;
      post();
    };
    document.getElementById('query').value = 'nowhere to be found';
    document.getElementById('filters').requestSubmit();
    post();
    """
  )
  assert between > len(rows) / 2
  assert found(driver) == 'No row fits.'


def test_a_newer_search_replaces_one_that_still_runs(driver, large, many):
  open_page(driver, large)
  driver.execute_script(
    """
    const field = document.getElementById('query');
    for (const query of ['the', 'mill', 'river town', 'needle in']) {
      field.value = query;
      document.getElementById('filters').requestSubmit();
    }
    """
  )
  settle(driver)
  assert listed(driver) == [many[i].id for i in _NEEDLES]
  assert found(driver) == '1–3 of 3'


def test_of_more_rows_than_fit_an_even_sample_is_shown(driver, tmp_path, rows):
  path = write(tmp_path / 'viewer.html', rows, max_rows=10)
  open_page(driver, path)
  n = len(rows)
  assert listed(driver) == [rows[i * n // 10].id for i in range(10)]
  header = driver.find_element('tag name', 'header').text
  assert f'10 rows, evenly spaced among {n}' in header


def test_an_empty_corpus_has_a_page(driver, tmp_path):
  open_page(driver, write(tmp_path / 'viewer.html', []))
  assert found(driver) == 'No row fits.'
  assert not driver.find_element('id', 'random').is_enabled()
  assert driver.get_log('browser') == []
