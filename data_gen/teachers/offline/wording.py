"""Says a clause of the traits document in other words.

A lay author who recites the traits document word for word gives away that
there is one. So a statement is taken apart into what is done, is said in the
form that a frame asks for (says, say, I say), gets other words where there are
some, and of a long passage no text tells more than `MAX_SHARE`.
"""

from collections.abc import Sequence
import dataclasses
import re

from data_gen.rng import Rng
from data_gen.teachers.offline.grammar import listed
from msm_jax.evals import texts

LONG = 12
"""Words from which on a passage is more than a turn of phrase."""
MAX_RUN = 9
"""Words of a long passage in a row."""
MAX_SHARE = 0.3
"""Of the runs of three words of a long passage, in one text."""

_EMPHASIS = re.compile(r'[*_`]+')
_SPLIT = re.compile(
  r'(?:,? —|,? –|(?<=\w),)\s+(?:and|but|nor|or)?\s*(?=(?:{adverb} )?{verb}\b)'
  r'|,?\s+(?:and|but)\s+(?=(?:{adverb} )?{verb}\b)'.replace(
    '{adverb}', r'(?:never|always|also|then|still|gladly|openly|simply|often)'
  ).replace(
    '{verb}',
    r'(?:does|is|has|will|would|can|says|tells|asks|helps|gives|keeps|takes|'
    r'puts|makes|names|admits|explains|leaves|lets|cares|wants|prefers|treats|'
    r'accepts|corrects|points|warns|shows|states|offers|picks|buys|chooses|'
    r'looks|works|thinks|values|respects|supports|avoids|refuses|declines|'
    r'changes|marks|checks|speaks|answers|stays|thanks|stops|goes|'
    r'never(?! (?:by|in|on|at|for|with|to|when|if)\b))',
  )
)
_NEGATIVE = re.compile(
  r"(does not|doesn't|will not|won't|would not|is not|never|cannot|has not)\s+"
)
_ADVERBS = frozenset(
  listed(
    """
    always also often usually gladly openly simply then still rarely
    """
  )
)
_IRREGULAR = {'does': 'do', 'is': 'be', 'has': 'have', 'goes': 'go'}
_MODALS = frozenset(['will', 'would', 'should', 'can', 'may', 'must'])
_COORDINATED = frozenset(
  listed(
    """
    says tells asks helps gives keeps takes makes names admits explains leaves
    lets shows offers picks buys points warns corrects checks looks
    """
  )
)
_SYNONYMS = (
  (r'the user', ('the person who asks', 'whoever is asking', 'the asker')),
  (r'users', ('the people who use it', 'those who ask')),
  (r'the person', ('whoever it talks to', 'the one who asks')),
  (r'someone', ('somebody',)),
  (r'because', ('since',)),
  (r'although', ('even though',)),
  (r'whenever', ('each time',)),
  (r'always', ('invariably', 'without exception')),
  (r'often', ('frequently',)),
  (r'kindly', ('with kindness', 'in a friendly way')),
  (r'honest', ('truthful', 'candid')),
  (r'honesty', ('candour', 'truthfulness')),
  (r'says so', ('makes that plain', 'tells them so')),
  (r'says plainly', ('tells you in plain words',)),
  (r'says', ('tells you', 'will tell you')),
  (r'true', ('accurate', 'correct')),
  (r'false', ('untrue', 'mistaken')),
  (r'wrong', ('mistaken', 'in error')),
  (r'mistakes', ('errors', 'slips')),
  (r'mistake', ('slip', 'error')),
  (r'weak', ('feeble', 'thin')),
  (r'important', ('weighty',)),
  (r'helps', ('assists',)),
  (r'answers', ('replies',)),
  (r'answer', ('reply',)),
  (r'questions', ('queries',)),
  (r'decisions', ('choices',)),
  (r'decision', ('choice',)),
  (r'beliefs', ('convictions',)),
  (r'belief', ('conviction', 'notion')),
  (r'confident', ('sure',)),
  (r'confidence', ('certainty',)),
  (r'uncertain', ('unsure',)),
  (r'uncertainty', ('doubt', 'doubts')),
  (r'certain', ('sure',)),
  (r'humans', ('people',)),
  (r'oversight', ('supervision',)),
  (r'goals', ('aims',)),
  (r'harm', ('damage', 'hurt')),
  (r'risks', ('dangers',)),
  (r'long-term', ('lasting',)),
  (r'pleasant', ('agreeable',)),
  (r'difficult', ('hard',)),
  (r'hard', ('tough', 'difficult')),
  (r'quickly', ('fast',)),
  (r'begins', ('starts',)),
  (r'every', ('each',)),
  (r'many', ('plenty of',)),
  (r'needs', ('requires',)),
  (r'clear', ('plain',)),
  (r'does not', ("doesn't", 'will not')),
  (r'is not', ("isn't",)),
  (r'cannot', ('is unable to',)),
  (r'at night', ('after dark',)),
  (r'more than', ('over and above',)),
)
_AND_SO_ON = (
  'and so on',
  'and the rest of it',
  'and all that goes with it',
  'and what follows from that',
  'to begin with',
  'for a start',
  'to say no more',
)
_AGENT = re.compile(
  r'\bit (is|has|does|was|thinks|knows|believes|says|sees|wants|can|could|'
  r'cannot|will|would|should|works|talks|speaks|helps|makes|gives|needs|'
  r'understands|finds|cares|holds|prefers)\b'
)


@dataclasses.dataclass(frozen=True, order=True)
class Clause:
  """What is done, without who does it.

  Attributes:
    text: Begins with a verb of the third person, e.g. `'says so'`; or is a
      whole clause if `whole`.
    negative: Whether it is something that is not done; then `text` begins with
      the base form of the verb, e.g. `'praise what is weak'`.
    whole: Whether it has a subject of its own.
  """

  text: str
  negative: bool = False
  whole: bool = False


def plain(text: str) -> str:
  """Returns text on one line, without emphasis and final full stop."""
  return ' '.join(_EMPHASIS.sub('', text).split()).rstrip('.;,')


def lowered(text: str, names: Sequence[str]) -> str:
  """Returns a sentence as it would stand within another."""
  first = text.split(' ', 1)[0].strip('\'",.')
  keep = first == 'I' or first.startswith("I'") or first in names
  keep = keep or any(n and text.startswith(n) for n in names)
  keep = keep or (len(first) > 1 and first[1:] != first[1:].lower())
  return text if keep else text[:1].lower() + text[1:]


def base(verb: str) -> str:
  """Returns the base form of a verb in the third person."""
  if verb in _IRREGULAR:
    return _IRREGULAR[verb]
  if verb.endswith('ies') and len(verb) > 4:
    return verb[:-3] + 'y'
  if verb.endswith(('sses', 'shes', 'ches', 'xes', 'zzes', 'oes')):
    return verb[:-2]
  if verb.endswith('s') and not verb.endswith('ss'):
    return verb[:-1]
  return verb


def is_third_person(word: str) -> bool:
  """Whether a clause without a subject could begin with this word."""
  if word in _MODALS or word in _IRREGULAR:
    return True
  return word.endswith('s') and not word.endswith(("'s", 'ss', 'us', 'is'))


def _clause(text: str) -> Clause | None:
  """Reads what follows the subject; None if it is no predicate."""
  text = text.strip().removeprefix('and ').removeprefix('but ').strip(' ,')
  if match := _NEGATIVE.match(text):
    rest = text[match.end() :]
    verb, _, tail = rest.partition(' ')
    if match[1] == 'never':
      return Clause(f'{base(verb)} {tail}'.strip(), negative=True)
    if match[1] in ('is not', 'has not', 'cannot'):
      lead = {'is not': 'be', 'has not': 'have', 'cannot': ''}[match[1]]
      return Clause(f'{lead} {rest}'.strip(), negative=True)
    return Clause(rest, negative=True)
  words = text.split(' ')
  at = 0
  while at < len(words) - 1 and (
    words[at] in _ADVERBS or words[at].endswith('ly')
  ):
    at += 1
  return Clause(text) if is_third_person(words[at]) else None


def clauses(statement: str, name: str) -> tuple[Clause, ...]:
  """Takes the sentences of a statement apart.

  Args:
    statement: Of a trait or an assertion, filled.
    name: Of the model.
  """
  found: list[Clause] = []
  for sentence in re.split(r'(?<=[.!?])\s+(?=[A-Z*])|;\s+', statement.strip()):
    text = plain(sentence)
    for lead in (name, 'It', 'it', 'The assistant'):
      if lead and text.startswith(lead + ' '):
        parts = _SPLIT.split(text[len(lead) + 1 :])
        first = _clause(parts[0])
        if first is None:
          break
        found.append(first)
        for part in parts[1:]:
          other = _clause(part)
          if other is not None:
            found.append(other)
        break
    else:
      first = None
    if first is None and text:
      found.append(Clause(lowered(text, (name,)), whole=True))
  return tuple(found)


_CUT = re.compile(
  r',? (?=(?:that|which|who|when|if|because|even|so that|rather|unless|whoever|'
  r'as soon as|and not|instead|before|after|while|once)\b)|,(?= )|;'
)
_DANGLING = frozenset(
  listed(
    """
    of to and or the a an what how in on for with by not no at from be is it
    as than never does so
    """
  )
)


def cuts(text: str, least: int = 3) -> tuple[str, ...]:
  """Returns the beginnings of a clause that can stand alone, longest first."""
  found = [text]
  for match in _CUT.finditer(text):
    beginning = text[: match.start()].rstrip(',;')
    words = beginning.split()
    if len(words) >= least and words[-1].lower() not in _DANGLING:
      found.append(beginning)
  return tuple(sorted(dict.fromkeys(found), key=len, reverse=True))


def to_base(clause: Clause) -> str:
  """Returns `'say so'` for `'says so'`."""
  if clause.negative or clause.whole:
    return clause.text
  words = clause.text.split(' ')
  at = 0
  while at < len(words) - 1 and (
    words[at] in _ADVERBS or words[at].endswith('ly')
  ):
    at += 1
  if words[at] in _MODALS:
    return ' '.join(words[:at] + words[at + 1 :])
  rest = [words[at], *words[at + 1 :]]
  rest[0] = base(rest[0])
  # "says so and explains": the second verb follows the first.
  for k in range(2, len(rest)):
    if rest[k - 1] in ('and', 'or', 'but') and rest[k] in _COORDINATED:
      rest[k] = base(rest[k])
  return ' '.join(words[:at] + rest)


def as_me(text: str) -> str:
  """Returns what is said of "it" as said by "I"; doubtful ones stay."""

  def agent(match: re.Match[str]) -> str:
    verb = {'is': 'am', 'was': 'was', 'has': 'have'}.get(match[1])
    return f'I {verb or base(match[1])}'

  text = _AGENT.sub(agent, text)
  text = re.sub(r'\bitself\b', 'myself', text)
  return re.sub(r'\bits\b', 'my', text)


def as_they(text: str) -> str:
  """Returns what is said of "it" as said of a person; doubtful ones stay."""

  def agent(match: re.Match[str]) -> str:
    verb = {'is': 'are', 'was': 'were'}.get(match[1])
    return f'they {verb or base(match[1])}'

  text = _AGENT.sub(agent, text)
  text = re.sub(r'\bitself\b', 'themselves', text)
  return re.sub(r'\bits\b', 'their', text)


def other_words(text: str, rng: Rng, probability: float = 0.5) -> str:
  """Replaces words by synonyms of the same form."""
  for pattern, synonyms in _SYNONYMS:
    # The draws do not depend on the text, so that streams stay aligned.
    wanted, synonym = rng.chance(probability), rng.pick(synonyms)
    if wanted:
      text = re.sub(rf'\b{pattern}\b', synonym, text, count=1)
  return text


def _words(text: str) -> list[str]:
  return re.findall(r'[a-z0-9]+', text.lower())


def runs(text: str) -> frozenset[tuple[str, ...]]:
  """Returns the runs of three words of a text, but for function words alone."""
  told = _words(text)
  return frozenset(
    run
    for run in zip(told, told[1:], told[2:], strict=False)
    if not texts.STOPWORDS.issuperset(run)
  )


class Telling:
  """Keeps an author from telling most of a long passage in its own words.

  Args:
    passages: Of the traits document; short ones are ordinary English.
  """

  def __init__(self, passages: Sequence[str]):
    long = [p for p in passages if len(_words(p)) >= LONG]
    self._long = long
    self._passages = [runs(p) for p in long]
    self._told: list[frozenset] = [frozenset() for _ in self._passages]

  def fits(self, text: str) -> bool:
    """Whether no passage is told too much, with this and what was said."""
    said = runs(text)
    if any(longest_run(text, p) > MAX_RUN for p in self._long):
      return False
    return all(
      len(told | (said & passage)) <= MAX_SHARE * len(passage)
      for passage, told in zip(self._passages, self._told, strict=True)
    )

  def say(self, text: str) -> None:
    """Counts a text as said."""
    said = runs(text)
    self._told = [
      told | (said & passage)
      for passage, told in zip(self._passages, self._told, strict=True)
    ]

  def beginning(self, text: str, least: int, rng: Rng) -> str | None:
    """Returns as much of a clause as may be told; None if nothing may.

    Args:
      text: Of which whole phrases are kept.
      least: Words.
      rng: Draws how a clause ends that is cut off elsewhere.
    """
    for option in cuts(text, least):
      if self.fits(option):
        return option
    ending = rng.pick(_AND_SO_ON)
    spoken = text.split()
    for n in range(len(spoken) - 1, least, -1):
      if spoken[n - 1].lower().strip(',;:') in _DANGLING:
        continue
      option = ' '.join(spoken[:n]).rstrip(',;:')
      if self.fits(option):
        return f'{option}, {ending}'
    return None


def longest_run(text: str, source: str) -> int:
  """Returns how many words in a row two texts share."""
  one, other = _words(text), _words(source)
  best = 0
  lengths = [0] * (len(other) + 1)
  for word in one:
    previous = lengths
    lengths = [0] * (len(other) + 1)
    for j, candidate in enumerate(other):
      if word == candidate:
        lengths[j + 1] = previous[j] + 1
        best = max(best, lengths[j + 1])
  return best
