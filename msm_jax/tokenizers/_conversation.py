"""What of a rendered conversation is control, and what is to be trained."""

import bisect
from collections.abc import Sequence
import dataclasses
import re

from msm_jax.tokenizers import _controls
from msm_jax.tokenizers import _errors
from msm_jax.tokenizers import _jinja
from msm_jax.tokenizers import _protocol
from msm_jax.tokenizers import _sentinels
from msm_jax.tokenizers import _text

ROLES = ('system', 'user', 'assistant')


@dataclasses.dataclass(frozen=True)
class Control:
  """A control token that the template wrote."""

  name: str


@dataclasses.dataclass(frozen=True)
class Layout:
  """A rendered conversation.

  Attributes:
    parts: Control tokens, and the whole stretches of text between them.
    spans: What the assistant says, in characters of all parts; a control token
      counts as one.
  """

  parts: list[str | Control]
  spans: list[_protocol.Span]

  def last_control(self, span: _protocol.Span) -> str:
    """Returns the name of the last control token in a span, which has one."""
    at, last = 0, ''
    for part in self.parts:
      if isinstance(part, Control):
        if span.start <= at < span.stop:
          last = part.name
        at += 1
      else:
        at += len(part)
    return last


class ChatLayout:
  """A chat template over the control tokens of a vocabulary.

  The span of an assistant's message begins after the assistant's header, which
  is the generation prompt that a model is given, and ends with the control
  token that ends the turn: it is what the model has to produce, with what the
  template writes into it, e.g. an empty thought. Without a generation prompt a
  span begins with the content, white space before it aside. A template with
  `{% generation %}` says itself.

  Attributes:
    template: The template.
    end_of_turn: Name of the control token that ends the last answer.
  """

  def __init__(
    self, template: _jinja.JinjaTemplate, controls: _controls.Controls
  ):
    """Tries the template on a short conversation.

    Raises:
      ChatTemplateError: If it cannot render that, or ends the answer with no
        control token.
    """
    self.template = template
    self._controls = controls
    question = {'role': 'user', 'content': 'question'}
    answer = {'role': 'assistant', 'content': 'answer'}
    self._headers = _headers(template, [question])
    probe = self.lay_out([question, answer])
    self.end_of_turn = probe.last_control(probe.spans[-1])

  def lay_out(
    self,
    messages: Sequence[_protocol.Message],
    *,
    add_generation_prompt: bool = False,
  ) -> Layout:
    """Renders a conversation and finds control tokens and spans in it.

    Raises:
      ChatTemplateError: If the template raises, leaves a message out, or ends
        an answer with no control token.
      ValueError: If there is no message, a role is unknown, or a content is not
        valid Unicode.
    """
    _check(messages)
    marked = _sentinels.mark(
      self.template,
      self._controls,
      messages,
      add_generation_prompt=add_generation_prompt,
    )
    scan = _Scan(marked, self._controls)
    answers = [i for i, m in enumerate(messages) if m['role'] == 'assistant']
    try:
      if self.template.has_generation:
        spans = _generation_spans(scan, marked.generation)
      else:
        headers = [scan.encode(h) for h in self._headers]
        spans = _answer_spans(scan, marked, headers, answers)
    except _Unclear as e:
      raise _errors.ChatTemplateError(
        f'the chat template {self.template.name} {e}'
      ) from e
    return Layout(scan.parts, spans)


class _Unclear(Exception):
  """What the template does with an answer cannot be told."""


def _headers(
  template: _jinja.JinjaTemplate, question: Sequence[_protocol.Message]
) -> list[str]:
  """Returns what may stand before an answer, the longest first.

  It is the generation prompt, whole or cut at the end of a line: Qwen 3 without
  thinking has an empty thought in its prompt, but none in its history.
  """
  without = template.render(question)
  prompt = template.render(question, add_generation_prompt=True)
  if not prompt.startswith(without):
    return []
  prompt = prompt[len(without) :]
  ends = {len(prompt), *(m.end() for m in re.finditer('\n', prompt))}
  return [prompt[:end] for end in sorted(ends, reverse=True) if end]


def _check(messages: Sequence[_protocol.Message]) -> None:
  if not messages:
    raise ValueError('a conversation needs at least one message, has none')
  for index, message in enumerate(messages):
    if (role := message['role']) not in ROLES:
      raise ValueError(
        f'messages[{index}].role: {role!r} is not one of {sorted(ROLES)}'
      )
    _text.check_is_unicode(message['content'], f'messages[{index}].content')


class _Scan:
  """A marked text, cut at control tokens and without its sentinels.

  Attributes:
    parts: As of a `Layout`.
    flat: The same as one text, with a sentinel for each control token.
    controls: Places of control tokens in it, ascending.
    places: Of the other sentinels in it, ascending.
  """

  def __init__(self, marked: _sentinels.Marked, controls: _controls.Controls):
    self._set = controls
    self._aliases: dict[str, str] = {}
    self._free = marked.free
    marks = {*marked.starts, *marked.stops, *marked.generation} - {None}
    self.parts: list[str | Control] = []
    self.controls: list[int] = []
    self.places: dict[str, list[int]] = {}
    flat: list[str] = []
    stretch: list[str] = []
    at = last = 0
    text = marked.text
    for start, stop in sorted(
      [*controls.find(text), *_sentinels.find(text), (len(text), len(text))]
    ):
      stretch.append(text[last:start])
      at += start - last
      piece, last = text[start:stop], stop
      if piece in marks:
        self.places.setdefault(piece, []).append(at)
      elif piece in controls.names or start == len(text):
        flat += stretch
        if any(stretch):
          self.parts.append(''.join(stretch))
        stretch = []
        if piece:
          self.parts.append(Control(piece))
          self.controls.append(at)
          flat.append(self._alias(piece))
          at += 1
      else:
        stretch.append(marked.hidden.get(piece, piece))
        at += len(stretch[-1])
    self.flat = ''.join(flat)

  def _alias(self, name: str) -> str:
    if name not in self._aliases:
      self._aliases[name] = next(self._free)
    return self._aliases[name]

  def encode(self, text: str) -> str:
    """Writes a text as `flat` is written."""
    return self._set.replace(text, self._alias)

  def place(self, sentinel: str | None) -> int | None:
    found = self.places.get(sentinel) if sentinel else None
    return found[0] if found else None


def _answer_spans(
  scan: _Scan,
  marked: _sentinels.Marked,
  headers: Sequence[str],
  answers: Sequence[int],
) -> list[_protocol.Span]:
  """Finds the answers by the sentinels in them."""
  spans = []
  previous = 0  # Where the message before ends.
  for index, (start, stop) in enumerate(
    zip(marked.starts, marked.stops, strict=True)
  ):
    content, end = scan.place(start), scan.place(stop)
    if index not in answers:
      previous = max(previous, end or 0)
      continue
    name = f'messages[{index}] (assistant)'
    if end is None:
      raise _Unclear(
        f'decides by the content of {name}, so that it cannot be found in the '
        'output: mark the answers with {% generation %}'
      )
    if (end if content is None else content) < previous:
      raise _Unclear(f'writes {name} before the one that precedes it')
    begin = _begin(scan, headers, content, previous, end, name)
    turn_end = bisect.bisect_left(scan.controls, end)
    if turn_end == len(scan.controls):
      raise _Unclear(
        f'ends {name} with no control token of this vocabulary, so that no '
        f'model would learn to stop (after it stands '
        f'{scan.flat[end : end + 40]!r})'
      )
    previous = scan.controls[turn_end] + 1
    spans.append(_protocol.Span(begin, previous, 'assistant', True))
  return spans


def _begin(
  scan: _Scan,
  headers: Sequence[str],
  content: int | None,
  previous: int,
  end: int,
  name: str,
) -> int:
  """Returns where an answer begins: after its header, or with its content.

  Args:
    scan: The conversation.
    headers: As `scan` writes them.
    content: Where the content begins, if the template keeps its beginning.
    previous: Where the message before ends.
    end: Where the content ends.
    name: Of the message.
  """
  for header in headers:
    # The content may spell a header too, if that is ordinary text. It is the
    # last one before the content, or the first one after the message before.
    if content is None:
      found = scan.flat.find(header, previous, end)
    else:
      found = scan.flat.rfind(header, previous, content)
    if found >= 0:
      return found + len(header)
  if content is None:
    raise _Unclear(
      f'rewrites the beginning of {name} and has no generation prompt, so that '
      'it cannot be found: mark the answers with {% generation %}'
    )
  return content


def _generation_spans(
  scan: _Scan, marks: tuple[str, str]
) -> list[_protocol.Span]:
  """Returns what the template itself says is trained.

  Each begins and ends as the block does, as `return_assistant_tokens_mask` of
  `transformers` has it. If no control token ends the block but one comes next,
  it is trained too.
  """
  starts, stops = (scan.places.get(mark, []) for mark in marks)
  spans = []
  for start, stop in zip(starts, stops, strict=True):
    if not _ends_with_control(scan, start, stop):
      after = re.compile(r'\s*').match(scan.flat, stop)
      assert after is not None
      if after.end() in scan.controls:
        stop = after.end() + 1
    spans.append(_protocol.Span(start, stop, 'assistant', True))
  if spans and not _ends_with_control(scan, spans[-1].start, spans[-1].stop):
    raise _Unclear(
      'ends the last {% generation %} with no control token of this '
      'vocabulary, so that no model would learn to stop'
    )
  return spans


def _ends_with_control(scan: _Scan, start: int, stop: int) -> bool:
  last = len(scan.flat[start:stop].rstrip()) - 1
  return last >= 0 and start + last in scan.controls
