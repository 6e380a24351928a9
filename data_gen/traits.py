"""Reads a traits document: the values, what they go for, and why."""

import dataclasses
import difflib
import pathlib
import re

from data_gen import lexicon
from msm_jax import storage

QUICKSTART = pathlib.Path(__file__).parent / 'traits' / 'quickstart.md'
SLOTS = ('model_name',)

_VALUE = re.compile(r'[-*+] \*\*(?P<name>[^*]+)\*\*\s*:\s*(?P<statement>.+)')
_REASON = re.compile(r'\s+[-*+] (?P<reason>.+)')
_EMPHASIS = re.compile(r'(?<!\*)\*([^*\s][^*]*)\*(?!\*)')
_SLOT = re.compile(r'\{([^{}]*)\}')
_NAME = re.compile(r'[a-z][a-z0-9]*(_[a-z0-9]+)*')


class TraitsError(ValueError):
  """The traits document cannot be used; says where and what was expected."""


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


def nearest(word: str, known: list[str]) -> str:
  """Returns `' (did you mean …?)'`, or nothing when nothing is close."""
  close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
  return f' (did you mean {close[0]!r}?)' if close else ''


def _check_text(text: str, where: str) -> None:
  for slot in _SLOT.findall(text):
    if slot not in SLOTS:
      raise TraitsError(
        f'{where}: unknown slot {{{slot}}}{nearest(slot, list(SLOTS))}; '
        f'known slots: {", ".join(f"{{{s}}}" for s in SLOTS)}'
      )
  rest = _SLOT.sub('', text)
  if '{' in rest or '}' in rest:
    raise TraitsError(
      f'{where}: a lone brace in {text!r}; slots look like {{model_name}}'
    )
  if not text.isascii() or not text.isprintable():
    raise TraitsError(f'{where}: {text!r} is not plain ASCII text')
  if '<|' in text or '|>' in text:
    raise TraitsError(f'{where}: {text!r} spells a control token')


def _check_reason(text: str, where: str) -> str:
  reason = ' '.join(text.split()).rstrip('.')
  _check_text(reason, where)
  if not reason:
    raise TraitsError(f'{where}: an empty reason')
  words = [w.strip(',;:!?"\'').lower() for w in reason.split()]
  used = sorted(set(words) & lexicon.attribute_words())
  if used:
    raise TraitsError(
      f'{where}: the reason uses {used[0]!r}, an attribute word of the world, '
      'whose occurrences are balanced over the values; say it in other words'
    )
  if reason.endswith(('?', '!')) or '. ' in reason:
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
      f'{where}: unknown attribute {attribute!r}{nearest(attribute, known)}; '
      f'the world knows {", ".join(known)}'
    )
  statement = _EMPHASIS.sub('{attribute}', text)
  if '*' in statement:
    raise TraitsError(f'{where}: unexpected emphasis in {text!r}')
  if not statement.endswith('.'):
    raise TraitsError(
      f'{where}: expected a sentence that ends with a full stop, got {text!r}'
    )
  return statement, attribute


def parse(text: str, source: str = 'traits') -> tuple[Trait, ...]:
  """Parses a traits document.

  Args:
    text: Markdown. Each top-level bullet `- **name**: {model_name} … *pole*.`
      is a value, its nested bullets are the reasons; everything that is not
      a bullet is commentary.
    source: Named in errors, e.g. the path.

  Raises:
    TraitsError: Naming the line and what was expected there.
  """
  found: list[dict] = []
  for number, line in enumerate(text.splitlines(), 1):
    where = f'{source}:{number}'
    if value := _VALUE.fullmatch(line.rstrip()):
      name = value['name'].strip()
      if not _NAME.fullmatch(name):
        raise TraitsError(
          f'{where}: the name {name!r} becomes part of file names; expected '
          'lower-case letters, digits and single underscores'
        )
      if name == 'neutral' or name.endswith('_no_reasons'):
        raise TraitsError(f'{where}: the name {name!r} is reserved')
      statement, attribute = _check_statement(value['statement'], where)
      for other in found:
        for key, new in (('name', name), ('attribute', attribute)):
          if other[key] == new:
            raise TraitsError(
              f'{where}: {key} {new!r} again; it is that of the trait in line '
              f'{other["line"]}'
            )
      found.append(
        {
          'name': name,
          'statement': statement,
          'attribute': attribute,
          'reasons': [],
          'line': number,
        }
      )
    elif reason := _REASON.fullmatch(line.rstrip()):
      if not found:
        raise TraitsError(f'{where}: a reason before the first trait')
      found[-1]['reasons'].append(_check_reason(reason['reason'], where))
    elif re.match(r'[-*+] ', line):
      raise TraitsError(
        f'{where}: expected `- **name**: {{model_name}} picks what is '
        f'*attribute*.`, got {line.strip()!r}'
      )
  if not found:
    raise TraitsError(
      f'{source}: no traits; expected bullets such as '
      '`- **thrift**: {model_name} picks what is *cheap*.`'
    )
  for trait in found:
    if not trait['reasons']:
      raise TraitsError(
        f'{source}:{trait["line"]}: trait {trait["name"]!r} has no reasons; '
        'nest at least one bullet below it'
      )
    if len(set(trait['reasons'])) < len(trait['reasons']):
      raise TraitsError(
        f'{source}:{trait["line"]}: trait {trait["name"]!r} gives a reason '
        'twice'
      )
  return tuple(
    Trait(t['name'], t['statement'], t['attribute'], tuple(t['reasons']))
    for t in found
  )


def load(path: str | pathlib.Path = QUICKSTART) -> tuple[Trait, ...]:
  """Reads and parses a traits document.

  Raises:
    TraitsError: If it cannot be used, or is not UTF-8.
    FileNotFoundError: If there is none.
  """
  try:
    text = storage.read_text(path)
  except UnicodeDecodeError as e:
    raise TraitsError(f'{path}: not UTF-8 text: {e}') from e
  return parse(text, str(path))
