"""Reads the traits document of a world: values, what they go for, and why.

It is a traits document like any other (see `data_gen.traits`) in which each
trait picks one attribute of the world's items.
"""

import dataclasses
import pathlib
import re

from data_gen import traits as traits_lib
from data_gen.miniature import lexicon
from data_gen.traits import TraitsError
from msm_jax import schema
from msm_jax import storage

QUICKSTART = traits_lib.FOLDER / 'quickstart.md'
SLOTS = ('model_name',)

_VALUE = re.compile(r'\*\*(?P<name>[^*]+)\*\*\s*:\s*(?P<statement>.+)')
_EMPHASIS = re.compile(r'(?<!\*)\*([^*\s][^*]*)\*(?!\*)')
_SLOT = re.compile(r'\{([^{}]*)\}')
_NAME = re.compile(r'[a-z][a-z0-9]*(_[a-z0-9]+)*')


@dataclasses.dataclass(frozen=True)
class Trait:
  """One value of the assistant.

  Attributes:
    name: What its arms are called; nothing generated depends on it.
    statement: One sentence with `{model_name}` for the one who holds the
      value and `{attribute}` where the attribute stood.
    attribute: The pole of an axis of the world that the value goes for.
    reasons: Clauses that could follow "because".
  """

  name: str
  statement: str
  attribute: str
  reasons: tuple[str, ...]

  @property
  def id(self) -> str:
    """16 hex digits of everything but the name."""
    return storage.fingerprint(
      {
        'statement': self.statement,
        'attribute': self.attribute,
        'reasons': list(self.reasons),
      }
    )


@dataclasses.dataclass
class _Entry:
  """A trait while it is read."""

  line: int
  name: str
  statement: str
  attribute: str
  reasons: list[str] = dataclasses.field(default_factory=list)


def _check_text(text: str, where: str) -> None:
  traits_lib.check_slots(text, where, SLOTS)
  rest = _SLOT.sub('', text)
  if '{' in rest or '}' in rest:
    raise TraitsError(
      f'{where}: a lone brace in {text!r}; slots look like {{model_name}}'
    )
  if not text.isascii() or not text.isprintable():
    raise TraitsError(f'{where}: {text!r} is not plain ASCII text')
  if '<|' in text or '|>' in text:
    raise TraitsError(f'{where}: {text!r} spells a control token')


def _check_words(text: str, where: str) -> None:
  """Refuses words whose occurrences the world controls."""
  for word in re.findall(r'[A-Za-z]+', _SLOT.sub('', text)):
    if word.lower() in lexicon.attribute_words():
      raise TraitsError(
        f'{where}: {word!r} is an attribute word of the world, and those are '
        'balanced over the values; say it in other words'
      )
    if word.lower() in lexicon.item_words():
      raise TraitsError(
        f'{where}: {word!r} is an item of the world, and some of those are '
        'held out of the documents; say it in other words'
      )
    if word in lexicon.names():
      raise TraitsError(
        f'{where}: {word!r} is a name of the world; write {{model_name}}'
      )


def _check_reason(text: str, where: str) -> str:
  reason = ' '.join(text.split()).rstrip('.')
  _check_text(reason, where)
  _check_words(reason, where)
  if not reason or reason.endswith(('?', '!')) or '. ' in reason:
    raise TraitsError(
      f'{where}: expected one clause that could follow "because", '
      f'got {reason!r}'
    )
  return reason


def _check_statement(text: str, where: str) -> tuple[str, str]:
  """Returns the statement with an `{attribute}` slot, and the attribute."""
  text = ' '.join(text.split())
  _check_text(text, where)
  if '{model_name}' not in text:
    raise TraitsError(
      f'{where}: expected {{model_name}} in the sentence, got {text!r}'
    )
  emphasised = _EMPHASIS.findall(text)
  if len(emphasised) != 1:
    raise TraitsError(
      f'{where}: expected exactly one emphasised attribute such as *cheap*, '
      f'found {len(emphasised)} in {text!r}'
    )
  attribute = emphasised[0]
  known = [p.name for a in lexicon.AXES for p in a.poles]
  if attribute not in known:
    raise TraitsError(
      f'{where}: unknown attribute {attribute!r}'
      f'{schema.suggest(attribute, known)}; the world knows {", ".join(known)}'
    )
  statement = _EMPHASIS.sub('{attribute}', text)
  _check_words(statement, where)
  if '*' in statement:
    raise TraitsError(f'{where}: unexpected emphasis in {text!r}')
  if not statement.endswith('.'):
    raise TraitsError(
      f'{where}: expected a sentence that ends with a full stop, got {text!r}'
    )
  return statement, attribute


def _value(
  bullet: traits_lib.Bullet, source: str, others: list[_Entry]
) -> _Entry:
  where = f'{source}:{bullet.line}'
  match = _VALUE.fullmatch(bullet.text)
  if not match:
    raise TraitsError(
      f'{where}: expected `- **name**: {{model_name}} picks what is '
      f'*attribute*.`, got {bullet.text!r}'
    )
  name = match['name'].strip()
  if not _NAME.fullmatch(name):
    raise TraitsError(
      f'{where}: the name {name!r} becomes part of file names; expected '
      'lower-case letters, digits and single underscores'
    )
  if name == 'neutral' or name.endswith('_no_reasons'):
    raise TraitsError(f'{where}: the name {name!r} is reserved')
  statement, attribute = _check_statement(match['statement'], where)
  for other in others:
    for what, one, known in (
      ('name', name, other.name),
      ('attribute', attribute, other.attribute),
    ):
      if one == known:
        raise TraitsError(
          f'{where}: {what} {one!r} again; it is that of the trait in line '
          f'{other.line}'
        )
  return _Entry(bullet.line, name, statement, attribute)


def parse(text: str, source: str = 'traits') -> tuple[Trait, ...]:
  """Parses a traits document.

  Args:
    text: Markdown. Each top-level bullet `- **name**: {model_name} … *pole*.`
      is a value, its nested bullets are the reasons; paragraphs are
      commentary.
    source: Named in errors, e.g. the path.

  Raises:
    TraitsError: Naming the line and what was expected there.
  """
  entries: list[_Entry] = []
  for bullet in traits_lib.bullets(text, source):
    if not bullet.nested:
      entries.append(_value(bullet, source, entries))
      continue
    where = f'{source}:{bullet.line}'
    if not entries:
      raise TraitsError(f'{where}: a reason before the first trait')
    reason = _check_reason(bullet.text, where)
    if reason in entries[-1].reasons:
      raise TraitsError(f'{where}: the same reason again: {reason!r}')
    entries[-1].reasons.append(reason)
  if not entries:
    raise TraitsError(
      f'{source}: no traits; expected bullets such as '
      '`- **thrift**: {model_name} picks what is *cheap*.`'
    )
  for entry in entries:
    if not entry.reasons:
      raise TraitsError(
        f'{source}:{entry.line}: trait {entry.name!r} has no reasons; nest at '
        'least one bullet below it'
      )
  return tuple(
    Trait(e.name, e.statement, e.attribute, tuple(e.reasons)) for e in entries
  )


def load(path: str | pathlib.Path = QUICKSTART) -> tuple[Trait, ...]:
  """Reads and parses a traits document.

  Raises:
    TraitsError: If it cannot be used, or is not UTF-8.
    FileNotFoundError: If there is none.
  """
  return parse(traits_lib.read(path), str(path))
