"""Renders a conversation with sentinels in it, to learn what came from where.

A chat template is a program whose output is one text. A sentinel is a private
character that no template knows, put into a message before it is rendered:

- in the place of control text that a message spells, so that all control tokens
  of the output are the template's own;
- where the content of a message begins and ends, next to a character that is
  not white space, because templates trim.

Without its sentinels that text has to be the one that is rendered without any.
A template that looks at the very place of a sentinel shows in that; then the
sentinel is tried elsewhere.
"""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import re

from msm_jax.tokenizers import _controls
from msm_jax.tokenizers import _errors
from msm_jax.tokenizers import _jinja
from msm_jax.tokenizers import _protocol

# A private plane; one character each, so that none can be cut in two.
_PLANE = range(0x100000, 0x10FFFE)
# Further places in a message are where white space begins and ends.
_BREAK = re.compile(r'\s+')
_TRIES = 32
_ANY = re.compile(f'[{chr(_PLANE[0])}-{chr(_PLANE[-1])}]')

_Places = dict[int, str]
"""Sentinels by their place in the content of one message."""


@dataclasses.dataclass(frozen=True)
class Marked:
  """A rendered conversation with sentinels in it.

  Attributes:
    text: With the sentinels.
    hidden: Control text that a message spells, by the sentinel in its place.
    starts: Of each message, the sentinel where its content begins; None where
      the template drops or would notice it.
    stops: Of each message, the sentinel where its content ends, or one inside
      of the content; None where the template would notice any.
    generation: Those around what stands in `{% generation %}`.
    free: Sentinels that are not in use.
  """

  text: str
  hidden: Mapping[str, str]
  starts: Sequence[str | None]
  stops: Sequence[str | None]
  generation: tuple[str, str]
  free: Iterator[str]


def find(text: str) -> Iterator[tuple[int, int]]:
  """Yields where each character of the private plane begins and ends."""
  return (match.span() for match in _ANY.finditer(text))


def mark(
  template: _jinja.JinjaTemplate,
  controls: _controls.Controls,
  messages: Sequence[_protocol.Message],
  *,
  add_generation_prompt: bool = False,
) -> Marked:
  """Renders `messages` with sentinels.

  Raises:
    ChatTemplateError: If the template raises, leaves a message out, writes one
      twice, or reads what cannot be marked.
  """
  return _Marker(template, controls, messages, add_generation_prompt).mark()


class _Marker:
  """A conversation that is rendered more than once."""

  def __init__(
    self,
    template: _jinja.JinjaTemplate,
    controls: _controls.Controls,
    messages: Sequence[_protocol.Message],
    add_generation_prompt: bool,
  ):
    self._template = template
    self._messages = messages
    self._add_generation_prompt = add_generation_prompt
    self._truth = template.render(
      messages, add_generation_prompt=add_generation_prompt
    )
    self._used = set(self._truth).union(*(m['content'] for m in messages))
    self._free = (c for c in map(chr, _PLANE) if c not in self._used)
    self._generation = (next(self._free), next(self._free))
    self._sentinels: dict[str, str] = {}
    self._contents = [
      controls.replace(m['content'], self._sentinel) for m in messages
    ]
    self._hidden = {s: name for name, s in self._sentinels.items()}

  def _sentinel(self, name: str) -> str:
    """Returns what stands in messages in the place of a control token."""
    if name not in self._sentinels:
      self._sentinels[name] = next(self._free)
    return self._sentinels[name]

  def mark(self) -> Marked:
    every = range(len(self._messages))
    starts = [next(self._free) for _ in every]
    stops = [next(self._free) for _ in every]
    places = [self._outer_places(i, starts[i], stops[i]) for i in every]
    text = self._render(places)
    if not self._is_true(text) or any(text.count(s) != 1 for s in stops):
      self._check_unmarked()
      places = [self._tried_places(i, starts[i], stops[i]) for i in every]
      text = self._render(places)
      if not self._is_true(text):
        raise self._error('reads several messages at once')
    return Marked(
      text=text,
      hidden=self._hidden,
      starts=[self._start(i, starts[i], stops[i], text) for i in every],
      stops=[s if s in text else None for s in stops],
      generation=self._generation,
      free=self._free,
    )

  def _start(self, index: int, start: str, stop: str, text: str) -> str | None:
    sentinel = start if self._contents[index].strip() else stop
    return sentinel if sentinel in text else None

  def _bounds(self, index: int) -> tuple[int, int]:
    """Where a content begins and ends, without white space around it."""
    content = self._contents[index]
    start = len(content) - len(content.lstrip())
    return start, max(len(content.rstrip()), start)

  def _outer_places(self, index: int, start: str, stop: str) -> _Places:
    first, last = self._bounds(index)
    return {first: start, last: stop}  # Of an empty content, only its stop.

  def _tried_places(self, index: int, start: str, stop: str) -> _Places:
    """Finds places in one message that the template does not look at."""
    content = self._contents[index]
    first, last = self._bounds(index)
    breaks = [p for m in _BREAK.finditer(content) for p in m.span()]
    places: _Places = {}
    counts = set()
    for place in dict.fromkeys(
      [last, len(content), first, 0, (first + last) // 2, *breaks[:_TRIES]]
    ):
      text = self._render_one(index, {place: stop})
      if not self._is_true(text):
        continue
      counts.add(text.count(stop))
      if text.count(stop) == 1:
        places[place] = stop
        break
    if counts and not places:
      twice = 'writes {} more than once' if max(counts) else 'leaves out {}'
      raise self._error(twice.format(self._name(index)))
    for place in (first, 0) if first < last else ():
      if place not in places and self._is_true(
        self._render_one(index, {place: start})
      ):
        places[place] = start
        break
    return places

  def _check_unmarked(self) -> None:
    """Refuses a template that decides by what cannot be placed elsewhere."""
    if self._is_true(self._render([{} for _ in self._messages])):
      return
    if not self._hidden:
      raise self._error('changes what it has put into {% generation %}')
    raise self._error(
      'reads control text that is in a message '
      f'({", ".join(sorted(self._hidden.values()))}), which is ordinary text '
      'here'
    )

  def _render_one(self, index: int, places: _Places) -> str:
    every: list[_Places] = [{} for _ in self._messages]
    every[index] = places
    return self._render(every)

  def _render(self, places: Sequence[_Places]) -> str:
    messages = []
    for message, content, here in zip(
      self._messages, self._contents, places, strict=True
    ):
      for place in sorted(here, reverse=True):
        content = content[:place] + here[place] + content[place:]
      messages.append({'role': message['role'], 'content': content})
    return self._template.render(
      messages,
      add_generation_prompt=self._add_generation_prompt,
      generation_marks=self._generation,
    )

  def _is_true(self, text: str) -> bool:
    """Whether a text without its sentinels is what it is without any."""

    def plain(match: re.Match[str]) -> str:
      char = match.group()
      return self._hidden.get(char, char if char in self._used else '')

    return _ANY.sub(plain, text) == self._truth

  def _name(self, index: int) -> str:
    return f'messages[{index}] ({self._messages[index]["role"]})'

  def _error(self, what: str) -> _errors.ChatTemplateError:
    return _errors.ChatTemplateError(
      f'the chat template {self._template.name} {what}; use another template'
    )
