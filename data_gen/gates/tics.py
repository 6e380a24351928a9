"""Scans a corpus for what recurs: names, dates, openings, phrases."""

from collections import Counter
from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses

import numpy as np

from data_gen.gates.views import view
from msm_jax.evals import texts

KINDS = ('name', 'date', 'opening', 'phrase')

# A word that is hardly ever capitalised inside a sentence begins lines, as
# `Date:` does.
_INSIDE_SHARE = 0.1
# A capitalised word is no name if so large a share of the documents that have
# it also, or others, write it in lower case. Told from a sample.
_LOWER_CASE_SHARE = 0.2
_SAMPLE = 200
_MAX_SLOT_BITS = 22
_BLOCK = 4096
# A phrase with fewer content words, or with frequent ones only, is ordinary
# English: `at the end of the day`, `let me know if you need`.
_CONTENT_WORDS = 3


@dataclasses.dataclass(frozen=True)
class Tic:
  """Something that recurs.

  Attributes:
    kind: One of `KINDS`.
    text: The name, the date, the opening or the phrase.
    documents: How many have it.
    first: Position of the first that has it.
  """

  kind: str
  text: str
  documents: int
  first: int


@dataclasses.dataclass(frozen=True)
class Scan:
  """What recurs in a corpus of N documents.

  Attributes:
    of: For each of the N documents, (kind, key) of what it has of that which
      more than the limit have, in the order of `KINDS`.
    counts: (kind, key) to the number of documents.
    shown: (kind, key) to text for people.
  """

  of: list[list[tuple[str, object]]]
  counts: dict[tuple[str, object], int]
  shown: dict[tuple[str, object], str]


def scan(
  corpus: Sequence[str],
  *,
  beginnings: Sequence[str],
  limits: dict[str, int],
  opening_words: int,
  phrase_words: int,
  ordinary: Iterable[str] = (),
) -> Scan:
  """Finds what more documents have than the limit of its kind.

  Args:
    corpus: The documents.
    beginnings: Of each, the text whose opening counts.
    limits: Kind to the number of documents that may have the same.
    opening_words: Words of an opening; see `texts.opening`.
    phrase_words: Words of a phrase.
    ordinary: Words and phrases that may recur, such as the model's name and
      the topics of the corpus; case makes no difference.
  """
  topics = {word for said in ordinary for word in texts.words(said)}
  result = Scan([[] for _ in corpus], {}, {})
  _add_names(result, corpus, limits['name'], topics)
  _add(result, 'date', [texts.dates(t) for t in corpus], limits['date'])
  openings = [_openings(t, opening_words) for t in beginnings]
  _add(result, 'opening', openings, limits['opening'])
  _add_phrases(result, corpus, limits['phrase'], phrase_words, topics)
  return result


def clusters(found: Scan) -> list[Tic]:
  """Returns what recurs, most frequent first, each thing once.

  What the same documents have for the same reason is shown once, in its
  longest form: `Elara`, `Voss` and `Elara Voss`; the shifted runs of words of
  one long phrase.
  """
  documents: dict[tuple[str, object], list[int]] = {}
  for i, keys in enumerate(found.of):
    for key in keys:
      documents.setdefault(key, []).append(i)
  tics: list[tuple[Tic, frozenset[int]]] = []
  longest_first = sorted(
    documents, key=lambda k: (-len(found.shown[k]), found.shown[k])
  )
  for key in longest_first:
    kind, text = key[0], found.shown[key]
    have = frozenset(documents[key])
    if any(_same(kind, text, have, *other) for other in tics):
      continue
    tics.append((Tic(kind, text, len(have), min(have)), have))
  found_tics = [tic for tic, _ in tics]
  return sorted(
    found_tics, key=lambda t: (-t.documents, KINDS.index(t.kind), t.text)
  )


_OVERLAP = 0.8


def _same(
  kind: str, text: str, have: frozenset[int], other: Tic, theirs: frozenset[int]
) -> bool:
  if kind != other.kind or len(have & theirs) < _OVERLAP * len(have):
    return False
  if kind == 'name':
    return text in other.text.split()
  return kind == 'phrase' and bool({*text.split()} & {*other.text.split()})


def _openings(text: str, n: int) -> set[str]:
  start = texts.opening(text, n)
  # A shorter text is no opening.
  return {start} if start.count(' ') == n - 1 else set()


def _add(
  result: Scan, kind: str, found: Sequence[set[str]], limit: int
) -> None:
  counts = Counter(key for keys in found for key in keys)
  for i, keys in enumerate(found):
    for key in sorted(keys):
      if counts[key] > limit:
        result.of[i].append((kind, key))
        result.counts[kind, key] = counts[key]
        result.shown[kind, key] = key


def _add_names(
  result: Scan, corpus: Sequence[str], limit: int, topics: set[str]
) -> None:
  anywhere, inside = [], Counter[str]()
  for text in corpus:
    found, inside_found = texts.names(text)
    anywhere.append(found)
    inside.update(inside_found)
  counts = Counter(name for found in anywhere for name in found)
  frequent = [
    n
    for n in counts
    if counts[n] > limit and inside[n] >= _INSIDE_SHARE * counts[n]
  ]
  if not frequent:
    return
  ordinary = _written_in_lower_case(corpus, frequent, counts)

  def is_name(name: str) -> bool:
    return any(
      w not in ordinary and topics.isdisjoint(texts.words(w))
      for w in name.split()
    )

  names = {n for n in frequent if is_name(n)}
  kept = [found & names for found in anywhere]
  _add(result, 'name', kept, limit)


def _written_in_lower_case(
  corpus: Sequence[str], names: Iterable[str], counts: Counter[str]
) -> set[str]:
  """Returns those words of names that the corpus also writes in lower case."""
  step = max(1, len(corpus) // _SAMPLE)
  sample = [frozenset(text.split()) for text in corpus[::step]]
  ordinary = set()
  for word in {w for name in names for w in name.split()}:
    lower = word.lower()
    forms = (lower, f'{lower},', f'{lower}.')
    count = sum(any(f in found for f in forms) for found in sample)
    share = counts[word] / len(corpus)
    if count / len(sample) >= _LOWER_CASE_SHARE * share:
      ordinary.add(word)
  return ordinary


def _add_phrases(
  result: Scan, corpus: Sequence[str], limit: int, n: int, topics: set[str]
) -> None:
  """Runs of words that recur, with enough content words to be noticed."""
  runs = [view(text).ngrams(n) for text in corpus]
  of = _frequent_runs(runs, limit)
  counts = Counter(run for found in of for run in found)
  phrases: dict[int, str] = {}
  for i, found in enumerate(of):
    for run, position in sorted(found.items(), key=lambda item: item[1]):
      if counts[run] <= limit:
        continue
      if run not in phrases:
        words = view(corpus[i]).words[position : position + n]
        phrases[run] = '' if _ordinary(words, topics) else ' '.join(words)
      if phrases[run]:
        result.of[i].append(('phrase', run))
        result.counts['phrase', run] = counts[run]
        result.shown['phrase', run] = phrases[run]


def _frequent_runs(
  runs: Sequence[np.ndarray], limit: int
) -> list[dict[int, int]]:
  """Returns for each text run → first position, of runs that may be frequent.

  Runs are counted by their first bits: a slot that is hit no more often than
  the limit holds no run that is. Nearly all runs end there.
  """
  total = sum(map(len, runs))
  bits = min(_MAX_SLOT_BITS, max(10, total.bit_length() + 1))
  shift = np.uint64(64 - bits)
  slots = [(r >> shift).astype(np.int32) for r in runs]
  hits = np.zeros(1 << bits, np.int64)
  for start in range(0, len(slots), _BLOCK):
    block = np.concatenate(slots[start : start + _BLOCK])
    hits += np.bincount(block, minlength=1 << bits)
  often = hits > limit
  found = []
  for r, s in zip(runs, slots, strict=True):
    positions = np.flatnonzero(often[s])[::-1]
    # The first position of a run overwrites the later ones.
    found.append(
      dict(zip(r[positions].tolist(), positions.tolist(), strict=True))
    )
  return found


def _ordinary(words: Sequence[str], topics: set[str]) -> bool:
  content = [
    w
    for w in words
    if w not in texts.STOPWORDS and w not in topics and not w.isdigit()
  ]
  few = len(content) < _CONTENT_WORDS
  return few or texts.COMMON_WORDS.issuperset(content)
