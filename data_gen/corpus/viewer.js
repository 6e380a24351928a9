'use strict';
// Texts are only ever written as text nodes: nothing in a row is markup.

const PAGE = 25;
const SNIPPET = 220;
const BEFORE_MATCH = 60;
const SLICE_MS = 12; // of work, then the browser may draw and answer
const DEBOUNCE_MS = 150;

const $ = id => document.getElementById(id);
const grouped = number => number.toLocaleString('en');

/** Makes an element with attributes and children; strings become text. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes))
    element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const nextTask = () => new Promise(resolve => {
  const channel = new MessageChannel();
  channel.port1.onmessage = () => { channel.port1.close(); resolve(); };
  channel.port2.postMessage(null);
});

/** Reads one embedded block, and frees the text that held it. */
async function unpack(script) {
  const binary = atob(script.textContent.trim());
  script.remove();
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  const stream = new Blob([bytes]).stream()
    .pipeThrough(new DecompressionStream('gzip'));
  return JSON.parse(await new Response(stream).text());
}

/** Blocks that are read when they are first asked for, and kept. */
class Blocks {
  constructor(selector) {
    this.scripts = [...document.querySelectorAll(selector)];
    this.read = [];
    this.loaded = [];
  }
  block(index) {
    this.read[index] ??= unpack(this.scripts[index]).then(rows => {
      this.scripts[index] = null;
      return this.loaded[index] = rows;
    });
    return this.read[index];
  }
  async row(row) {
    const index = Math.floor(row / corpus.rowsPerBlock);
    const rows = this.loaded[index] ?? await this.block(index);
    return rows[row % corpus.rowsPerBlock];
  }
}

let corpus, texts, details;
let matched = []; // rows that fit filters and search, in order
let shown = []; // matched, or five of them
let page = 0;
let current = -1;
let generation = 0; // of the search; an older one stops
let pattern = null; // of the search, case-insensitive

const partsOf = text => typeof text === 'string' ? [text] :
  (text ?? []).map(([, content]) => content);

function patternOf(query) {
  const words = query.trim().split(/\s+/).filter(Boolean)
    .map(w => w.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'));
  return words.length ? new RegExp(words.join('\\s+'), 'iu') : null;
}

// ── Filters ────────────────────────────────────────────────────────────────

function fillSelect(id, every, options) {
  $(id).replaceChildren(make('option', {value: ''}, every), ...options);
}

const option = (value, label, count) =>
  make('option', {value}, `${label || '(none)'} (${grouped(count)})`);

function counted(column, labels) {
  const counts = labels.map(() => 0);
  for (const codes of corpus[column])
    for (const code of [].concat(codes)) counts[code]++;
  return counts;
}

function fillFilters() {
  const total = corpus.id.length;
  const accepted = corpus.accepted.reduce((a, b) => a + b, 0);
  fillSelect('status', `all (${grouped(total)})`, [
    option('1', 'accepted', accepted),
    option('0', 'rejected', total - accepted),
  ]);
  for (const name of ['source', 'genre', 'variant']) {
    const labels = corpus.labels[name], counts = counted(name, labels);
    const order = labels.map((_, i) => i)
      .sort((a, b) => labels[a] < labels[b] ? -1 : 1);
    fillSelect(name, 'all', order.map(i => option(i, labels[i], counts[i])));
  }
  const traits = corpus.labels.traits, counts = counted('traits', traits);
  const without = corpus.traits.filter(t => !t.length).length;
  fillSelect('trait', 'all', [
    ...traits.map(([name, type], i) =>
      option(i, `${name} · ${type}`, counts[i])),
    option('none', '', without),
  ]);
  fillGates();
}

const gateOf = failure => failure.split(': ')[0];

function fillGates() {
  const failures = corpus.labels.failures;
  const counts = counted('failures', failures);
  const gates = [...new Set(failures.map(gateOf))].sort();
  fillSelect('gate', 'any or none', gates.map(gate => {
    const mine = failures.map((_, i) => i)
      .filter(i => gateOf(failures[i]) === gate)
      .sort((a, b) => counts[b] - counts[a]);
    const rows = corpus.failures
      .filter(f => f.some(i => gateOf(failures[i]) === gate)).length;
    return make('optgroup', {label: gate},
      option(`gate:${gate}`, `${gate}, whatever reason`, rows),
      ...mine.map(i => option(`failure:${i}`, failures[i], counts[i])));
  }));
}

/** Returns the rows that fit the filters; the text is not looked at. */
function filtered() {
  const tests = [];
  if ($('status').value)
    tests.push(i => corpus.accepted[i] === Number($('status').value));
  for (const name of ['source', 'genre', 'variant'])
    if ($(name).value) {
      const code = Number($(name).value);
      tests.push(i => corpus[name][i] === code);
    }
  const trait = $('trait').value;
  if (trait === 'none') tests.push(i => !corpus.traits[i].length);
  else if (trait) tests.push(i => corpus.traits[i].includes(Number(trait)));
  const gate = $('gate').value;
  if (gate) {
    const label = gate.slice(gate.indexOf(':') + 1);
    const codes = new Set(gate.startsWith('failure:') ? [Number(label)] :
      corpus.labels.failures.map((_, i) => i)
        .filter(i => gateOf(corpus.labels.failures[i]) === label));
    tests.push(i => corpus.failures[i].some(f => codes.has(f)));
  }
  return corpus.id.map((_, i) => i).filter(i => tests.every(t => t(i)));
}

// ── Search ─────────────────────────────────────────────────────────────────

async function search() {
  const mine = ++generation;
  const candidates = filtered();
  pattern = patternOf($('query').value);
  page = 0;
  document.body.dataset.state = 'searching';
  const found = pattern ? [] : candidates;
  let last = performance.now();
  for (let n = 0; pattern && n < candidates.length; n++) {
    const row = candidates[n];
    const text = await textNow(row);
    if (mine !== generation) return;
    if ([corpus.id[row], ...partsOf(text)].some(t => pattern.test(t)))
      found.push(row);
    if (performance.now() - last > SLICE_MS) {
      say(`${grouped(found.length)} found so far, ` +
        `${Math.round(100 * n / candidates.length)} % searched`);
      await nextTask();
      last = performance.now();
    }
  }
  if (mine !== generation) return;
  shown = matched = found;
  await render(mine);
  if (mine === generation) document.body.dataset.state = 'done';
}

/** The text of a row; a promise only where its block was not read yet. */
function textNow(row) {
  const block = texts.loaded[Math.floor(row / corpus.rowsPerBlock)];
  return block ? block[row % corpus.rowsPerBlock] : texts.row(row);
}

// ── List ───────────────────────────────────────────────────────────────────

const say = text => { $('found').textContent = text; };

function describeFound() {
  const total = grouped(matched.length);
  if (!matched.length) return 'No row fits.';
  if (shown !== matched) return `${shown.length} at random of ${total}`;
  const first = page * PAGE + 1;
  const last = Math.min(first + PAGE - 1, shown.length);
  return `${grouped(first)}–${grouped(last)} of ${total}`;
}

async function render(mine = generation) {
  const rows = shown.slice(page * PAGE, (page + 1) * PAGE);
  const items = await Promise.all(rows.map(item));
  if (mine !== generation) return;
  $('results').replaceChildren(...items);
  $('results').scrollTop = 0;
  say(describeFound());
  $('previous').disabled = page === 0;
  $('next').disabled = (page + 1) * PAGE >= shown.length;
  $('random').disabled = !matched.length;
}

function tags(row) {
  const {source, genre, variant, traits, failures} = corpus.labels;
  const plain = [
    source[corpus.source[row]], genre[corpus.genre[row]],
    variant[corpus.variant[row]],
    ...corpus.traits[row].map(t => traits[t][0]),
  ].filter(Boolean).map(t => make('span', {class: 'tag'}, t));
  const why = corpus.failures[row].slice(0, 1).map(f => failures[f]);
  return corpus.accepted[row] ? plain : [...plain,
    make('span', {class: 'tag rejected'}, why[0] || 'rejected')];
}

async function item(row) {
  const text = partsOf(await texts.row(row)).join('\n');
  const match = pattern?.exec(text);
  const start = match ? Math.max(0, match.index - BEFORE_MATCH) : 0;
  const end = start + Math.max(SNIPPET, match ? match[0].length : 0);
  const snippet = make('span', {class: 'snippet'}, start ? '… ' : '',
    ...marked(text.slice(start, end)), end < text.length ? ' …' : '');
  const button = make('button', {type: 'button', 'data-row': row},
    make('span', {class: 'id'}, corpus.id[row]), make('br'), ...tags(row),
    snippet);
  if (row === current) button.setAttribute('aria-current', 'true');
  button.addEventListener('click', () => openRow(row));
  return make('li', {}, button);
}

/** Splits a text around what was searched for. */
function marked(text) {
  if (!pattern) return [text];
  const nodes = [];
  let from = 0;
  for (const match of text.matchAll(new RegExp(pattern.source, 'giu'))) {
    nodes.push(text.slice(from, match.index), make('mark', {}, match[0]));
    from = match.index + match[0].length;
  }
  return [...nodes, text.slice(from)];
}

// ── One row ────────────────────────────────────────────────────────────────

function table(head, rows) {
  return make('div', {class: 'scroll', tabindex: '0'}, make('table', {},
    make('thead', {}, make('tr', {}, ...head.map(h =>
      make('th', {scope: 'col'}, h)))),
    make('tbody', {}, ...rows.map(cells => make('tr', {}, ...cells)))));
}

function written(value) {
  if (value === null) return '–';
  if (typeof value !== 'number' || Number.isInteger(value)) return `${value}`;
  return `${Number(value.toPrecision(4))}`;
}

const cell = (value, name) =>
  make('td', name ? {class: name} : {}, written(value));

function body(text, masked) {
  if (text === null) return [make('p', {class: 'muted'}, 'No text came.')];
  if (typeof text !== 'string')
    return text.flatMap(([role, content]) => [
      make('div', {class: 'role'}, role),
      make('div', {class: 'text'}, ...marked(content)),
    ]);
  // Python counts code points, JavaScript UTF-16 units.
  const prefix = [...text.slice(0, 2 * masked)].slice(0, masked).join('');
  return [make('div', {class: 'text'},
    ...(prefix ? [make('span', {class: 'masked', title: 'carries no loss'},
      prefix)] : []),
    ...marked(text.slice(prefix.length)))];
}

async function openRow(row) {
  current = row;
  const [text, detail] = await Promise.all([texts.row(row), details.row(row)]);
  if (current !== row) return;
  const [masked, facts, verdicts, steps] = detail;
  const traits = corpus.traits[row].map(t => corpus.labels.traits[t]);
  const known = Object.entries(facts).filter(([, value]) => value);
  $('detail').replaceChildren(
    make('h2', {}, corpus.id[row]), make('p', {}, ...tags(row)),
    ...body(text, masked),
    make('h3', {}, 'What it is'),
    table(['', ''], [
      ...known.map(([name, value]) => [cell(name), cell(value)]),
      ...traits.map(([name, type, id]) =>
        [cell(`trait, ${type}`), cell(`${name} (${id})`)]),
    ]),
    make('h3', {}, 'Gates'),
    table(['gate', 'verdict', 'reason', 'detail', 'score'],
      verdicts.map(([gate, passed, reason, why, score]) => [
        cell(gate), cell(passed ? 'passed' : 'failed', passed ? '' : 'failed'),
        cell(reason), cell(why), cell(score),
      ])),
    make('h3', {}, 'Calls that led to it'),
    table(['task', 'model', 'sampling', 'sample', 'no use', 'prompt tokens',
      'completion tokens', 'cost, USD', 'request', 'prompt', 'answer'],
      steps.map(step => step.map(value => cell(value)))));
  for (const button of document.querySelectorAll('#results button'))
    button.toggleAttribute('aria-current', false);
  document.querySelector(`#results [data-row="${row}"]`)
    ?.setAttribute('aria-current', 'true');
  history.replaceState(null, '', `#${encodeURIComponent(corpus.id[row])}`);
  $('detail').focus({preventScroll: true});
  const narrow = getComputedStyle(document.querySelector('.panes'))
    .gridTemplateColumns.split(' ').length === 1;
  if (narrow) $('detail').scrollIntoView();
}

// ── Controls ───────────────────────────────────────────────────────────────

function randomFive() {
  const chosen = new Set();
  while (chosen.size < Math.min(5, matched.length))
    chosen.add(matched[Math.floor(Math.random() * matched.length)]);
  shown = [...chosen];
  page = 0;
  return render();
}

function turn(by) {
  page += by;
  return render();
}

function listen() {
  let waiting;
  $('query').addEventListener('input', () => {
    clearTimeout(waiting);
    document.body.dataset.state = 'searching';
    waiting = setTimeout(search, DEBOUNCE_MS);
  });
  $('filters').addEventListener('change', event => {
    if (event.target !== $('query')) search();
  });
  $('filters').addEventListener('submit', event => {
    event.preventDefault();
    clearTimeout(waiting);
    search();
  });
  $('random').addEventListener('click', randomFive);
  $('previous').addEventListener('click', () => turn(-1));
  $('next').addEventListener('click', () => turn(1));
  $('reset').addEventListener('click', () => {
    $('filters').reset();
    search();
  });
}

/** Reads all texts while nothing else is to do, so that a search need not. */
async function readAhead() {
  for (let i = 0; i < texts.scripts.length; i++) {
    await texts.block(i);
    await nextTask();
  }
  document.body.dataset.read = 'all';
}

async function main() {
  say('Reading …');
  corpus = await unpack($('index-block'));
  texts = new Blocks('.text-block');
  details = new Blocks('.detail-block');
  fillFilters();
  listen();
  await search();
  const wanted = corpus.id.indexOf(decodeURIComponent(location.hash.slice(1)));
  if (wanted >= 0) await openRow(wanted);
  await readAhead();
}

main().catch(error => {
  say(`This page cannot be read: ${error.message}`);
  throw error;
});
