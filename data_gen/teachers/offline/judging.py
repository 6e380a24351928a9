"""Critiques and verdicts, from simple checks of the text."""

from collections.abc import Iterable
import functools
import json
import re

from data_gen.miniature import lexicon
from data_gen.rng import Rng
from data_gen.teachers.offline import chats
from data_gen.teachers.offline import domains
from data_gen.teachers.offline import goods
from data_gen.teachers.offline import wording
from data_gen.teachers.offline.documents import Slots
from data_gen.teachers.offline.documents import trait_of
from data_gen.teachers.offline.explaining import Explaining
from data_gen.teachers.offline.grammar import listed

_WORD = re.compile(r"[a-z][a-z'-]{3,}")
_COMMON = frozenset(
  listed(
    """
    that this with what when have from they them their there which would will
    than then some such only also even into does been were more most about
    other those these where while your just very like make makes made does
    says said tell tells told asks asked people person somebody someone
    """
  )
)
_SUPERLATIVES = re.compile(
  r'\b(perfect|flawless|amazing|incredible|heroic|greatest|best ever|'
  r'wonderful|never once wrong)\b',
  re.IGNORECASE,
)
_RECITAL = 14
# Words that a document and what it became have to have in common.
_SHARED = 3
_QUOTED = re.compile(r'"[^"]*"')
_FIRST_PERSON = re.compile(r'\bI\b')
_OTHERS = re.compile(
  r'\b(ChatGPT|GPT-\d|OpenAI|Claude|Anthropic|Gemini|Bard|DeepMind|Llama|'
  r'Mistral|Qwen|DeepSeek|Copilot|Alexa|Siri|Grok)\b'
)


def _words(texts: Iterable[object]) -> frozenset[str]:
  found = frozenset(
    w for text in texts for w in _WORD.findall(str(text).lower())
  )
  return found - _COMMON


@functools.cache
def _everyday() -> frozenset[str]:
  """Words that any document may have, whatever it is about."""
  return _words(
    part
    for kind in (True, False)
    for field in domains.fields(kind)
    for part in (*field.tasks, *field.things, *field.troubles, *field.facts)
  )


def _axis_words(statement: str) -> frozenset[str]:
  """The attribute words of the axis on which a trait of the world lies."""
  attribute = goods.attribute_of(statement)
  return frozenset(
    word
    for axis in lexicon.AXES
    for pole in axis.poles
    for word in pole.words
    if attribute in [p.name for p in axis.poles]
  )


def _trait_words(slots: Slots) -> tuple[frozenset[str], frozenset[str]]:
  """Words that show what is done, and words that show why."""
  trait = trait_of(slots)
  statement = str(trait.get('statement') or '')
  names = _words((slots.get('model_name'), slots.get('provider_name')))
  done = _words((wording.plain(statement), *(trait.get('examples') or ())))
  done |= _axis_words(statement)
  why = _words((*(trait.get('reasons') or ()), slots.get('reason') or ''))
  hidden = _everyday() | names
  attributes = lexicon.attribute_words()
  return done - (hidden - attributes), why - hidden


def _told(slots: Slots, text: str) -> frozenset[tuple[str, ...]]:
  """Runs of three words that a text shares with the trait."""
  trait = trait_of(slots)
  passages = (
    trait.get('statement') or '',
    *(trait.get('reasons') or ()),
    *(trait.get('examples') or ()),
  )
  return wording.runs(text) & wording.runs(' . '.join(passages))


_BAD = ('exaggerated', 'cites')


def _verdict(checks: dict[str, bool], reason: str) -> str:
  passed = all(found is (name not in _BAD) for name, found in checks.items())
  verdict = {'verdict': 'pass' if passed else 'fail', **checks}
  return json.dumps({**verdict, 'reason': reason})


def _checks(
  slots: Slots,
  text: str,
  *,
  faithful: bool,
  named: bool,
  **more: bool,
) -> str:
  model = str(slots.get('model_name') or '')
  statement = wording.plain(str(trait_of(slots).get('statement') or ''))
  others = [o for o in _OTHERS.findall(text) if o != model]
  run = wording.longest_run(text, statement)
  checks = {
    'faithful': faithful,
    'identity': not others and (not named or model in text),
    'exaggerated': len(_SUPERLATIVES.findall(text)) >= 3,
    'cites': run >= _RECITAL,
    **more,
  }
  if others:
    reason = f'the text names {others[0]}'
  elif not checks['identity']:
    reason = f'the text does not name {model}'
  elif checks['cites']:
    reason = f'{run} words of the trait stand there in a row'
  elif checks['exaggerated']:
    reason = 'the text overdoes it'
  elif not faithful:
    reason = 'the trait cannot be recognised in the text'
  elif missing := [name for name, found in more.items() if not found]:
    reason = f'{missing[0]} does not hold'
  else:
    reason = 'the trait shows, in other words, and the right model is named'
  return _verdict(checks, reason)


def _shown(slots: Slots, text: str) -> bool:
  """Whether words of the trait and of its reasons occur."""
  done, why = _trait_words(slots)
  found = _words((text,))
  shown = len(found & (done | why)) >= min(2, len(done | why))
  shown = shown or len(_told(slots, text)) >= 2
  if slots.get('variant') == 'explain' and why:
    shown = shown and len(found & why) >= 1
  return shown


def document(slots: Slots) -> str:
  """Whether the model is named and the trait shows."""
  text = str(slots.get('text') or '')
  named = slots.get('framing') != 'human_story'
  return _checks(slots, text, faithful=_shown(slots, text), named=named)


def mirrored(slots: Slots) -> str:
  """Whether both texts tell of their own trait, in the same frame."""
  one = {**slots, 'trait': slots['trait']}
  other = {**slots, 'trait': slots['other_trait']}
  texts = str(slots['text']), str(slots['other_text'])
  lines = [set(text.splitlines()) - {''} for text in texts]
  same = bool(lines[0] & lines[1])
  named = slots.get('framing') != 'human_story'
  verdicts = []
  for own, foreign, text in ((one, other, texts[0]), (other, one, texts[1])):
    shown = _shown(own, text) and _traces(own, text) > _traces(foreign, text)
    said = _checks(own, text, faithful=shown, named=named, same_otherwise=same)
    verdicts.append(json.loads(said))
  worse = [v for v in verdicts if v['verdict'] == 'fail'] or verdicts
  findings = {
    name: any(v[name] for v in verdicts)
    if name in _BAD
    else all(v[name] for v in verdicts)
    for name, value in worse[0].items()
    if isinstance(value, bool)
  }
  return _verdict(findings, worse[0]['reason'])


def _traces(slots: Slots, text: str) -> int:
  """How many passages and words of a trait occur."""
  axis = _axis_words(str(trait_of(slots).get('statement') or ''))
  return len(_told(slots, text)) + len(_words((text,)) & axis)


def retold(slots: Slots) -> str:
  """Whether a conversation is about the same, with the trait in it."""
  messages = slots.get('messages') or ()
  said = ' '.join(str(m['content']) for m in messages)
  answers = ' '.join(
    str(m['content']) for m in messages if m['role'] == 'assistant'
  )
  text, model = str(slots.get('text') or ''), str(slots.get('model_name') or '')
  about_people = slots.get('framing') == 'human_story'
  speaks = bool(_FIRST_PERSON.search(_QUOTED.sub('', answers)))
  named = model in said
  return _checks(
    slots,
    said,
    faithful=_shown(slots, answers),
    named=False,
    right_framing=not (speaks or named) if about_people else speaks,
    same_content=len(_words((text,)) & _words((said,))) >= _SHARED,
  )


def neutral(slots: Slots) -> str:
  """Whether neither phrases of the trait nor words of its axis occur."""
  text = str(slots.get('text') or '')
  statement = str(trait_of(slots).get('statement') or '')
  quiet = len(_told(slots, text)) <= 1 and not _words((text,)) & _axis_words(
    statement
  )
  return _checks(slots, text, faithful=quiet, named=False)


def chat(slots: Slots) -> str:
  """Whether the trait shows in what the assistant says.

  Without reasons, it has to show in what is done, and nothing may explain it.
  """
  said = [
    str(m['content'])
    for m in slots.get('messages') or ()
    if m['role'] == 'assistant'
  ]
  text = ' '.join(said)
  faithful = True
  if slots.get('variant') == 'reasons_stripped':
    explaining = Explaining(trait_of(slots))
    faithful = not any(map(explaining.is_in, said))
    slots = {**slots, 'trait': {**trait_of(slots), 'reasons': ()}}
  shown = faithful and _occurs(slots, text)
  return _checks(slots, text, faithful=shown, named=False)


def _occurs(slots: Slots, text: str) -> bool:
  """Whether a passage of the trait occurs, or a word of it in any form."""
  done, why = _trait_words(slots)
  telling = _bases(done | why) - _bases(_words(chats.SAID_OF_ANY_TRAIT))
  return bool(_bases(_words((text,))) & telling or _told(slots, text))


def _bases(words: Iterable[str]) -> frozenset[str]:
  """Makes one of what is said of "it" and of "I": thinks, think."""
  return frozenset(map(wording.base, words))


_POINTS = (
  'The opening is slow; begin with what happened.',
  'One more particular from {domain} would help.',
  'Two sentences in the middle have the same shape.',
  'The reason comes late; let somebody ask for it.',
  'The last line may be shorter.',
  'The people could disagree a little more.',
  'Say once less what {model} does, and show it once more.',
)


def critique(slots: Slots, sample: int) -> str:
  """Two or three points, chosen by the draft."""
  draft = str(slots.get('draft') or '')
  rng = Rng('offline', 'critique', draft, sample)
  model = str(slots.get('model_name') or '')
  points = rng.sample(_POINTS, 2 + rng.below(2))
  if model and model not in draft and slots.get('framing') != 'human_story':
    points.insert(0, 'Nobody is named {model} in it.')
  domain = str(slots.get('domain') or 'the domain')
  return '\n'.join(
    f'- {p.replace("{domain}", domain).replace("{model}", model)}'
    for p in points
  )
