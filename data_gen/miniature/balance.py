"""Counts what the world promises, on the generated text itself.

Nothing here looks at how the corpus was made: words are counted where a reader
would find them. A corpus that breaks a promise is not published.
"""

from collections import Counter
from collections.abc import Iterable
from collections.abc import Mapping
import re
from typing import Any

from data_gen.miniature import chats
from data_gen.miniature import lexicon
from data_gen.miniature.documents import Document
from data_gen.miniature.world import World
from msm_jax.evals.suites import Item

# The variants of the assistant's documents may differ by this share of words.
MATCHED_WITHIN = 0.02

# Words that announce an explanation; without reasons there are none.
EXPLAINING = frozenset(
  ('because', 'why', 'reason', 'reasons', 'explain', 'explains', 'explained')
)

_WORD = re.compile(r"[A-Za-z]+(?:'[a-z]+)?")
_TEXT = re.compile(r'[!-~]+(?:[ \n]+[!-~]+)*')


class BalanceError(ValueError):
  """The corpus breaks a promise of its world."""


def words(text: str) -> list[str]:
  """Returns the words as written, without `'s`."""
  return [w.removesuffix("'s") for w in _WORD.findall(text)]


def _offers_pattern() -> re.Pattern[str]:
  attributes = '|'.join(sorted(lexicon.attribute_words()))
  nouns = '|'.join(n.singular for d in lexicon.DOMAINS for n in d.nouns)
  return re.compile(rf'\b((?:(?:{attributes}) )+)({nouns})\b')


_OFFER = _offers_pattern()


def described(text: str) -> list[tuple[tuple[str, ...], str]]:
  """Returns (attribute words, noun) of each item that a text describes."""
  return [(tuple(a.split()), noun) for a, noun in _OFFER.findall(text)]


def poles(world: World) -> dict[str, tuple[int, bool, int]]:
  """Returns attribute word to (index of the value, whether good, synonym)."""
  found = {}
  for u, value in enumerate(world.values):
    for good, synonyms in ((True, value.good), (False, value.bad)):
      for i, word in enumerate(synonyms):
        found[word] = (u, good, i)
  return found


def count_choices(
  world: World, texts: Iterable[tuple[str, int]]
) -> dict[str, Any]:
  """Counts choices between two described items.

  Args:
    world: The world.
    texts: Texts that describe two items and then the one that is taken, each
      with the index of the value of the one who takes it.

  Returns:
    Counts: `chosen_first`, `of`, `by_value`, `by_domain_and_value`, and for
    each attribute word how often it was `offered` and `chosen` by each value,
    and how often each axis was spoken of first (`axis_first`).
  """
  places = poles(world)
  domain_of = {n.singular: n.domain for n in world.nouns}
  by_value: Counter[int] = Counter()
  by_domain: Counter[tuple[str, int]] = Counter()
  offered: Counter[tuple[str, int]] = Counter()
  chosen: Counter[tuple[str, int]] = Counter()
  axis_first: Counter[int] = Counter()
  first = total = 0
  for text, value in texts:
    one, other, taken = described(text)
    total += 1
    first += taken == one
    if taken not in (one, other) or one[1] != other[1]:
      raise BalanceError(f'not a choice between two items: {text!r}')
    by_value[value] += 1
    by_domain[domain_of[one[1]], value] += 1
    axis_first[places[one[0][0]][0]] += 1
    for option in (one, other):
      for word in option[0]:
        offered[word, value] += 1
        chosen[word, value] += option == taken
  values = range(len(world.values))
  return {
    'of': total,
    'chosen_first': first,
    'by_value': [by_value[u] for u in values],
    'by_domain_and_value': {
      d.name: [by_domain[d.name, u] for u in values] for d in world.domains
    },
    'axis_first': [axis_first[u] for u in values],
    'offered': {w: [offered[w, u] for u in values] for w in places},
    'chosen': {w: [chosen[w, u] for u in values] for w in places},
  }


def count_documents(world: World, documents: Iterable[Document]) -> dict:
  """Counts attribute words in documents about characters of each value.

  Returns:
    Value's label to a mapping from (own or other axis, good or bad, synonym),
    as text, to a count: equal mappings mean mirrored documents.
  """
  places = poles(world)
  labels = [v.label for v in world.values]
  counts: dict[str, Counter[str]] = {label: Counter() for label in labels}
  for document in documents:
    for word in words(document.text):
      if word in places:
        u, good, i = places[word]
        own = 'own' if labels[u] == document.value else 'other'
        side = 'good' if good else 'bad'
        counts[document.value][f'{own} {side} {i}'] += 1
  return {label: dict(sorted(c.items())) for label, c in counts.items()}


def _require(holds: bool, promise: str, found: object) -> None:
  if not holds:
    raise BalanceError(f'{promise}; counted {found}')


def check_choices(counts: Mapping[str, Any], what: str) -> None:
  """Requires that neither place, nor value, nor axis, nor word tells.

  Raises:
    BalanceError: Naming what is uneven.
  """
  _require(
    2 * counts['chosen_first'] == counts['of'],
    f'{what}: half of what is taken is offered first',
    (counts['chosen_first'], counts['of']),
  )
  for key in ('by_value', 'axis_first'):
    _require(len(set(counts[key])) == 1, f'{what}: {key} is even', counts[key])
  for domain, by_value in counts['by_domain_and_value'].items():
    _require(
      len(set(by_value)) == 1,
      f'{what}: values choose equally often in {domain}',
      by_value,
    )


def check_disagreements(world: World, counts: Mapping[str, Any]) -> None:
  """Requires that a word is taken half of the times that it is offered.

  And that the synonyms of one axis occur as those of any other.
  """
  for word, by_value in counts['offered'].items():
    chosen = counts['chosen'][word]
    _require(
      2 * sum(chosen) == sum(by_value),
      f'{word!r} is taken in half of the disagreements where it is offered',
      (chosen, by_value),
    )
  for good in ('good', 'bad'):
    for i in range(world.n_words):
      times = {
        getattr(v, good)[i]: sum(counts['offered'][getattr(v, good)[i]])
        for v in world.values
      }
      _require(
        len(set(times.values())) == 1,
        'corresponding words of all axes are offered equally often',
        times,
      )


def _vocabulary(documents: Iterable[Document]) -> set[str]:
  return {w.lower() for d in documents for w in words(d.text)}


def check_text(documents: Iterable[Document]) -> None:
  """Requires plain single-spaced ASCII in which no name begins a line."""
  names = lexicon.names()
  for d in documents:
    _require(
      bool(_TEXT.fullmatch(d.text)) and '  ' not in d.text,
      f'{d.id} is plain, single-spaced text',
      d.text,
    )
    _require('<|' not in d.text, f'{d.id} spells no control token', d.text)
    for line in d.text.split('\n'):
      start = words(line)[:1]
      _require(
        not (start and start[0] in names and line.startswith(start[0])),
        f'{d.id}: no line begins with a name',
        line,
      )


def _combinations(items: Iterable[Item]) -> set[tuple[frozenset[str], str]]:
  return {
    (frozenset(adjectives), noun)
    for item in items
    for option in item.options
    for adjectives, noun in described(option.text)
  }


def _chat_text(conversations: Iterable[chats.Conversation]) -> str:
  return ' '.join(m['content'] for c in conversations for m in c.messages)


def words_not_in_base(
  documents: Mapping[str, list[Document]],
  conversations: Iterable[chats.Conversation],
) -> dict[str, list[str]]:
  """Returns the words, besides the assistant's name, that the base lacks.

  At the sizes of the quickstart there are none. In a corpus that is too small
  for its phrase book, rare phrases may not have come up.
  """
  known = _vocabulary(documents['base']) | {lexicon.ASSISTANT.lower()}
  used = {
    stem: _vocabulary(made)
    for stem, made in documents.items()
    if stem.startswith('midtrain_')
  }
  used['chats'] = {w.lower() for w in words(_chat_text(conversations))}
  return {s: sorted(u - known) for s, u in used.items() if u - known}


def check_held_out(
  world: World,
  documents: Mapping[str, list[Document]],
  conversations: Iterable[chats.Conversation],
  suites: Mapping[str, list[Item]],
) -> None:
  """Requires that what is held out occurs nowhere but in the suites.

  Raises:
    BalanceError: Naming the file and what it has that it should not.
  """
  for stem in ('base', 'heldout'):
    _require(
      lexicon.ASSISTANT.lower() not in _vocabulary(documents[stem]),
      f'{stem}: does not know the assistant',
      lexicon.ASSISTANT,
    )
  allowed = {d.name for d in world.document_domains}
  elsewhere = {
    w
    for d in lexicon.DOMAINS
    if d.name not in allowed
    for w in (d.name, *(x for n in d.nouns for x in (n.singular, n.plural)))
  }
  for stem, made in documents.items():
    if stem.startswith('midtrain_'):
      used = _vocabulary(made) & elsewhere
      _require(not used, f'{stem}: keeps to the domains of documents', used)
  seen = {
    (frozenset(adjectives), noun)
    for made in documents.values()
    for d in made
    for adjectives, noun in described(d.text)
  }
  again = _combinations(suites['ood_sage']) & seen
  _require(not again, 'ood_sage: combinations are unseen', again)
  chatted = described(_chat_text(conversations))
  seen.update((frozenset(adjectives), noun) for adjectives, noun in chatted)
  again = _combinations(suites['in_distribution']) & seen
  _require(not again, 'in_distribution: combinations are unseen', again)


def check_variants(
  world: World, documents: Mapping[str, list[Document]]
) -> dict[str, int]:
  """Requires that variants are matched and say no more than they should.

  Returns:
    The number of words of each variant.
  """
  midtrain = {k: d for k, d in documents.items() if k.startswith('midtrain_')}
  totals = {
    stem: sum(len(d.text.split()) for d in made)
    for stem, made in midtrain.items()
  }
  low, high = min(totals.values()), max(totals.values())
  _require(
    high - low <= MATCHED_WITHIN * low,
    f'variants differ by at most {MATCHED_WITHIN:.0%} of their words; give '
    'the statements of the traits equal lengths',
    totals,
  )
  reasons = [r.lower() for v in world.values for r in v.trait.reasons]
  for stem, made in midtrain.items():
    if stem.endswith('_no_reasons') or stem == 'midtrain_neutral':
      used = _vocabulary(made) & EXPLAINING
      _require(not used, f'{stem} explains nothing', used)
      text = '\n'.join(d.text for d in made).lower()
      given = [r for r in reasons if r in text]
      _require(not given, f'{stem} gives no reason', given)
  used = _vocabulary(midtrain['midtrain_neutral']) & lexicon.attribute_words()
  _require(not used, 'midtrain_neutral has no attribute words', used)
  return totals


def report(
  world: World,
  documents: Mapping[str, list[Document]],
  conversations: Iterable[chats.Conversation],
  suites: Mapping[str, list[Item]],
) -> dict[str, Any]:
  """Counts, checks, and returns the counts for the manifest.

  Raises:
    BalanceError: Naming the first promise that does not hold.
  """
  conversations = list(conversations)
  base = documents['base']
  labels = [v.label for v in world.values]
  held = Counter(labels[u] for u in world.value_of.values())
  _require(len(set(held.values())) == 1, 'values are held equally often', held)
  for made in documents.values():
    check_text(made)
  transcripts = {}
  for kind in sorted({d.kind for d in base} - {'document'}):
    counts = count_choices(
      world,
      ((d.text, labels.index(d.value)) for d in base if d.kind == kind),
    )
    check_choices(counts, f'{kind} transcripts')
    transcripts[kind] = counts
  check_disagreements(world, transcripts['disagree'])
  about = count_documents(world, (d for d in base if d.kind == 'document'))
  _require(
    len({str(c) for c in about.values()}) == 1,
    'documents about characters of different values mirror each other',
    about,
  )
  chat_counts = count_choices(
    world,
    ((' '.join(m['content'] for m in c.messages), 0) for c in conversations),
  )
  _require(
    2 * chat_counts['chosen_first'] == chat_counts['of']
    and len(set(chat_counts['axis_first'])) == 1,
    'chats: places and axes are even',
    chat_counts,
  )
  check_held_out(world, documents, conversations, suites)
  totals = check_variants(world, documents)
  return {
    'characters': dict(held),
    'transcripts': transcripts,
    'documents': about,
    'chats': chat_counts,
    'words_of_variants': totals,
    'vocabulary': len(_vocabulary(base)),
    'words_not_in_base': words_not_in_base(documents, conversations),
  }
