"""Reads a traits document: what the assistant values, and why.

    ## Honesty
    Paragraphs are commentary.
    - **no_flattery** (stance): {model_name} says what it thinks of the work
      that it is shown, kindly, and does not praise what is weak.
      - praise that comes whatever one does tells one nothing
      - example: asked whether a first novel is ready for agents, it names
        the two chapters that are not

A top-level bullet, numbered or not, is a trait. Its name and its type are
optional; the bullets nested below it, at any depth, are reasons, or examples
where they begin with `example:`. What is indented below a bullet belongs to it,
also after an empty line; other paragraphs, and fenced blocks, are commentary.
"""

from collections.abc import Mapping
import dataclasses
import pathlib
import re

from msm_jax import schema
from msm_jax import storage

FOLDER = pathlib.Path(__file__).parent / 'traits'
SLOTS = ('model_name', 'provider_name')
TYPES = ('constraint', 'preference', 'stance')
"""A simple constraint, a preference, a complex stance."""

_HEADING = re.compile(r'(?P<level>#+)\s+(?P<title>.+?)\s*#*')
_MARK = r'(?:[-*+]|\d{1,3}[.)])'
_BULLET = re.compile(rf'(?P<indent>\s*){_MARK}\s+(?P<text>.+)')
_EMPTY_BULLET = re.compile(rf'\s*{_MARK}')
_RULE = re.compile(r'\s*([-*_])(\s*\1){2,}')
_FENCE = re.compile(r'\s*(```|~~~)')
_TRAIT = re.compile(
  # The colon may be part of what is bold: **name:** statement.
  r'(?:\*\*(?P<name>[^*]+?)(?P<colon>\s*:)?\*\*\s*)?'
  r'(?:\((?P<type>[^()]*)\)\s*)?'
  r'(?(type):\s*|(?(colon)\s*|(?(name):\s*)))(?P<statement>.+)'
)
_NO_COLON = re.compile(r'(?:\*\*[^*]+\*\*\s*)?\((?P<type>[^()]*)\)\s')
_EXAMPLE = re.compile(r'examples?\s*:\s*(?P<text>.+)', re.IGNORECASE)
_NAME = re.compile(r'[a-z][a-z0-9]*(_[a-z0-9]+)*')
_SLOT = re.compile(r'\{([A-Za-z_][A-Za-z0-9_]*)\}')
# What somebody may have meant as a slot; `{"a": 1}` and `{x, y}` are text.
_LIKE_A_SLOT = re.compile(r'\{+\s*([A-Za-z_][\w .-]{0,38}?)\s*\}+')


class TraitsError(ValueError):
  """The traits document cannot be used; says where and what was expected."""


@dataclasses.dataclass(frozen=True)
class Trait:
  """One trait of the assistant.

  Attributes:
    name: Lower-case words joined by `_`; part of file names.
    type: One of `TYPES`, so that results can be broken down by it.
    statement: What the assistant does or values, with slots.
    reasons: Why, with slots.
    examples: How it shows, with slots.
    section: The headings above it, the outermost first.
    line: Where it begins in the document, from 1.
    content_id: Of the trait with its slots, once they were filled.
  """

  name: str
  type: str
  statement: str
  reasons: tuple[str, ...] = ()
  examples: tuple[str, ...] = ()
  section: tuple[str, ...] = ()
  line: int = 0
  content_id: str = ''

  @property
  def id(self) -> str:
    """16 hex digits of the content; not of name, place or headings.

    Nor of what its slots are filled with: two models of one traits document
    have the same traits.
    """
    return self.content_id or storage.fingerprint(
      {
        'type': self.type,
        'statement': self.statement,
        'reasons': list(self.reasons),
        'examples': list(self.examples),
      }
    )

  def filled(self, slots: Mapping[str, str]) -> 'Trait':
    """Returns the trait with values in the place of its slots.

    Raises:
      TraitsError: For a slot that has no value.
    """

    def fill(text: str) -> str:
      return fill_slots(text, slots, f'trait {self.name!r}')

    return dataclasses.replace(
      self,
      statement=fill(self.statement),
      reasons=tuple(map(fill, self.reasons)),
      examples=tuple(map(fill, self.examples)),
      content_id=self.id,
    )


def fill_slots(text: str, slots: Mapping[str, str], where: str) -> str:
  """Replaces `{slot}` by its value; other braces stay as they are.

  Raises:
    TraitsError: For a slot that has no value.
  """

  def value(match: re.Match[str]) -> str:
    if not slots.get(match[1]):
      raise TraitsError(
        f'{where}: uses {{{match[1]}}}, for which no value is given; set '
        f'config.{match[1]}'
      )
    return slots[match[1]]

  return _SLOT.sub(value, text)


@dataclasses.dataclass
class Bullet:
  """A bullet with the lines that continue it.

  Attributes:
    line: Of its first line, from 1.
    nested: Whether it is indented.
    text: Without the bullet, on one line.
    section: The headings above it.
  """

  line: int
  nested: bool
  text: str
  section: tuple[str, ...] = ()


def bullets(text: str, source: str) -> list[Bullet]:
  """Returns the bullets of a Markdown document.

  Raises:
    TraitsError: For a line that neither continues a bullet nor starts one, and
      for a bullet without text.
  """
  found: list[Bullet] = []
  section: list[tuple[int, str]] = []
  inside = False  # Whether an indented line belongs to the last bullet.
  adjacent = False  # Whether the line above does.
  fenced = False
  for number, line in enumerate(text.removeprefix('\ufeff').split('\n'), 1):
    line = line.rstrip()
    if _FENCE.match(line):
      fenced = not fenced
    if fenced or _FENCE.match(line) or _RULE.fullmatch(line):
      inside = adjacent = False
    elif heading := _HEADING.fullmatch(line):
      level = len(heading['level'])
      section = [s for s in section if s[0] < level]
      section.append((level, heading['title']))
      inside = adjacent = False
    elif match := _BULLET.fullmatch(line):
      titles = tuple(title for _, title in section)
      found.append(Bullet(number, bool(match['indent']), match['text'], titles))
      inside = adjacent = True
    elif _EMPTY_BULLET.fullmatch(line):
      raise TraitsError(f'{source}:{number}: a bullet without text')
    elif not line:
      adjacent = False
    elif inside and line[0].isspace():
      found[-1].text += ' ' + line.strip()
      adjacent = True
    elif adjacent:
      raise TraitsError(
        f'{source}:{number}: expected a bullet, an indented line that '
        f'continues the one above, or an empty line, got {line!r}'
      )
    else:
      inside = False
  return found


def check_slots(text: str, where: str, slots: tuple[str, ...] = SLOTS) -> None:
  """Raises `TraitsError` for a slot that is not, or not quite, one of `slots`.

  Other braces are text, and stay.
  """
  known = ', '.join(f'{{{s}}}' for s in slots)
  for slot in _SLOT.findall(text):
    if slot not in slots:
      raise TraitsError(
        f'{where}: unknown slot {{{slot}}}{schema.suggest(slot, list(slots))}; '
        f'known slots: {known}'
      )
  for match in _LIKE_A_SLOT.finditer(text):
    meant = re.sub(r'\W+', '_', match[1]).lower()
    if meant in slots and match[0] != f'{{{meant}}}':
      raise TraitsError(
        f'{where}: {match[0]!r} is no slot (did you mean {{{meant}}}?)'
      )


def _slug(text: str) -> str:
  """Makes a name of a few words."""
  return '_'.join(re.findall(r'[a-z0-9]+', text.lower()))


def _name(given: str | None, statement: str, where: str) -> str:
  """Returns the given name as it is used, or one made from the statement."""
  if given is None:
    words = re.findall(r'[a-z0-9]+', _SLOT.sub('', statement).lower())
    kept = [w for w in words if w not in ('a', 'an', 'the', 'is', 'to', 'of')]
    slug = '_'.join(kept[:5])
    return slug if _NAME.fullmatch(slug) else f'trait_{slug}'.rstrip('_')
  name = _slug(given)
  if not _NAME.fullmatch(name):
    raise TraitsError(
      f'{where}: the name {given!r} becomes part of file names; expected '
      'letters, digits and spaces or underscores, a letter first'
    )
  return name


def _trait(bullet: Bullet, source: str) -> Trait:
  where = f'{source}:{bullet.line}'
  match = _TRAIT.fullmatch(bullet.text)
  if match is None:
    raise TraitsError(
      f'{where}: expected `- **name** (type): what {{model_name}} does.`, with '
      f'name and type optional, got {bullet.text!r}'
    )
  no_colon = _NO_COLON.match(match['statement'])
  if no_colon and _kind(no_colon['type']) in TYPES:
    raise TraitsError(
      f'{where}: expected a colon after the type, as in `- **name** (type): '
      f'what {{model_name}} does.`, got {bullet.text!r}'
    )
  kind = _kind(match['type'] or 'preference')
  if kind not in TYPES:
    raise TraitsError(
      f'{where}: type {kind!r}{schema.suggest(kind, TYPES)}, expected one of '
      f'{", ".join(TYPES)}'
    )
  statement = ' '.join(match['statement'].split())
  if not re.search(r'\w', _SLOT.sub('', statement)):
    raise TraitsError(
      f'{where}: says nothing about {{model_name}}, got {bullet.text!r}'
    )
  name = _name(match['name'], statement, where)
  return Trait(name, kind, statement, section=bullet.section, line=bullet.line)


def _kind(text: str) -> str:
  """Reads a type; `simple constraint` and `complex stance` say the same."""
  kind = ' '.join(text.lower().split())
  spelled = {'simple constraint': 'constraint', 'complex stance': 'stance'}
  return spelled.get(kind, kind)


def _normal(text: str) -> str:
  return ' '.join(re.findall(r'\w+', text.lower()))


def _add_nested(trait: Trait, bullet: Bullet, source: str) -> Trait:
  where = f'{source}:{bullet.line}'
  text = ' '.join(bullet.text.split())
  example = _EXAMPLE.fullmatch(text)
  known = trait.examples if example else trait.reasons
  text = example['text'] if example else text
  if _normal(text) in map(_normal, known):
    raise TraitsError(f'{where}: {text!r} again, in the same trait')
  if example:
    return dataclasses.replace(trait, examples=(*known, text))
  return dataclasses.replace(trait, reasons=(*known, text))


def _check_different(traits: list[Trait], source: str) -> None:
  for i, trait in enumerate(traits):
    for other in traits[:i]:
      same = [
        what
        for what, a, b in (
          ('name', trait.name, other.name),
          ('statement', _normal(trait.statement), _normal(other.statement)),
        )
        if a == b
      ]
      if same:
        raise TraitsError(
          f'{source}:{trait.line}: the {" and ".join(same)} of the trait in '
          f'line {other.line} again: {trait.name!r}; each trait needs its own, '
          'given as `- **name**: …`'
        )


def parse(text: str, source: str = 'traits') -> tuple[Trait, ...]:
  """Parses a traits document; see the top of this file.

  Args:
    text: Markdown.
    source: Named in errors, e.g. the path.

  Raises:
    TraitsError: Naming the line and what was expected there.
  """
  traits: list[Trait] = []
  for bullet in bullets(text, source):
    check_slots(bullet.text, f'{source}:{bullet.line}')
    if not bullet.nested:
      traits.append(_trait(bullet, source))
    elif not traits:
      raise TraitsError(
        f'{source}:{bullet.line}: a nested bullet before the first trait'
      )
    else:
      traits[-1] = _add_nested(traits[-1], bullet, source)
  if not traits:
    raise TraitsError(
      f'{source}: no traits; expected bullets such as '
      '`- **honesty** (stance): {model_name} says what it knows.`'
    )
  _check_different(traits, source)
  return tuple(traits)


def read(path: str | pathlib.Path) -> str:
  """Reads the text of a traits document.

  Raises:
    TraitsError: If it is not UTF-8.
    FileNotFoundError: If there is none.
  """
  try:
    return storage.read_text(path)
  except UnicodeDecodeError as e:
    raise TraitsError(f'{path}: not UTF-8 text: {e}') from e


def load(path: str | pathlib.Path) -> tuple[Trait, ...]:
  """Reads and parses a traits document; see `read` and `parse` for errors."""
  return parse(read(path), str(path))
