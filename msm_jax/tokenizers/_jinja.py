"""Chat templates in Jinja, rendered as `transformers` renders them.

The environment is that of `transformers` 5 (`apply_chat_template`): sandboxed,
`trim_blocks`, `lstrip_blocks`, loop controls, `raise_exception`,
`strftime_now`, a `tojson` that escapes nothing, and `{% generation %}`.
"""

from collections.abc import Callable
from collections.abc import Container
from collections.abc import Mapping
from collections.abc import Sequence
import datetime
import json
import traceback
from typing import Any

import jinja2
from jinja2 import ext
from jinja2 import nodes
from jinja2 import parser as jinja_parser
from jinja2 import sandbox

from msm_jax.tokenizers import _errors
from msm_jax.tokenizers import _protocol

_MARKS = '__generation_marks__'
# What Jinja calls the file of a template that was not loaded from one.
_TEMPLATE_FILE = '<template>'


class _Generation(ext.Extension):
  """`{% generation %}…{% endgeneration %}`: what the model has to produce."""

  tags = frozenset({'generation'})  # type: ignore[assignment]

  def __init__(self, environment: jinja2.Environment):
    super().__init__(environment)
    environment.extend(has_generation=False)

  def parse(self, parser: jinja_parser.Parser) -> nodes.Node:
    self.environment.has_generation = True  # type: ignore[attr-defined]
    line = next(parser.stream).lineno
    body = parser.parse_statements(('name:endgeneration',), drop_needle=True)
    call = self.call_method('_mark')
    return nodes.CallBlock(call, [], [], body).set_lineno(line)

  @jinja2.pass_context
  def _mark(
    self, context: jinja2.runtime.Context, caller: Callable[[], str]
  ) -> str:
    begin, end = context.get(_MARKS) or ('', '')
    return f'{begin}{caller()}{end}'


class _Dict:
  """`dict` without its attributes, as templates may see it."""

  def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
    return dict(*args, **kwargs)

  def fromkeys(self, *args: Any) -> dict[Any, Any]:
    return dict.fromkeys(*args)


class _Namespace(jinja2.utils.Namespace):
  """`namespace` without names that lead to Python's internals."""

  def __init__(*args: Any, **kwargs: Any):  # `self` may be a name in it.
    self, *rest = args
    values = dict(*rest, **kwargs)
    for name in values:
      _check_is_public(name)
    jinja2.utils.Namespace.__init__(self, values)

  def __setitem__(self, name: str, value: Any) -> None:
    _check_is_public(name)
    super().__setitem__(name, value)


def _check_is_public(name: str) -> None:
  if name.startswith('_'):
    raise jinja2.exceptions.SecurityError(
      f'a namespace cannot hold {name!r}; choose a name without underscore'
    )


def _raise_exception(message: str) -> None:
  raise jinja2.TemplateError(message)


def _to_json(
  value: Any,
  ensure_ascii: bool = False,
  indent: int | None = None,
  separators: tuple[str, str] | None = None,
  sort_keys: bool = False,
) -> str:
  return json.dumps(
    value,
    ensure_ascii=ensure_ascii,
    indent=indent,
    separators=separators,
    sort_keys=sort_keys,
  )


def _literal(value: Any) -> str:
  """Writes a JSON value as Jinja does."""
  match value:
    case None:
      return 'none'
    case dict():
      items = (f'{_literal(k)}: {_literal(v)}' for k, v in value.items())
      return f'{{{", ".join(items)}}}'
    case list() | tuple():
      return f'[{", ".join(map(_literal, value))}]'
  return json.dumps(value, ensure_ascii=False)


def with_values(
  text: str, variables: Mapping[str, Any], *, fixed: Container[str]
) -> str:
  """Returns a template that has the values of variables in it.

  Args:
    text: The template.
    variables: JSON values by name. Whoever renders it may say otherwise.
    fixed: Names of those whose value whoever renders it would replace unasked.
  """
  # `+` keeps the line break that the template may begin with.
  return (
    ''.join(
      f'{{% set {name} = {_literal(value)} +%}}'
      if name in fixed
      else f'{{% set {name} = {name} | default({_literal(value)}) +%}}'
      for name, value in variables.items()
    )
    + text
  )


class JinjaTemplate:
  """A compiled chat template.

  Attributes:
    text: Its source.
    name: Where it comes from, for errors.
    variables: What it sees besides the messages, e.g. `bos_token`.
    date: What `strftime_now` says today is; None if nobody said.
  """

  def __init__(
    self,
    text: str,
    *,
    name: str,
    variables: Mapping[str, Any],
    date: datetime.date | None = None,
  ):
    """Compiles a template.

    Raises:
      ChatTemplateError: Naming the line that cannot be compiled.
    """
    self.text = text
    self.name = name
    self.variables = dict(variables)
    self.date = date
    environment = sandbox.ImmutableSandboxedEnvironment(
      trim_blocks=True,
      lstrip_blocks=True,
      extensions=[_Generation, ext.loopcontrols],
    )
    environment.filters['tojson'] = _to_json
    environment.globals['raise_exception'] = _raise_exception
    environment.globals['strftime_now'] = self._strftime_now
    environment.globals['dict'] = _Dict()
    environment.globals['namespace'] = _Namespace
    try:
      self._template = environment.from_string(text)
    except jinja2.TemplateSyntaxError as e:
      raise _errors.ChatTemplateError(
        f'the chat template {name}, line {e.lineno}: {e.message}'
      ) from e
    self.has_generation: bool = environment.has_generation  # type: ignore[attr-defined]

  def _strftime_now(self, format: str) -> str:
    if self.date is None:
      raise jinja2.TemplateError(
        'it asks for the date of today, so that a conversation would have '
        "other tokens every day; fix one: date='2026-01-31'"
      )
    return self.date.strftime(format)

  def render(
    self,
    messages: Sequence[_protocol.Message],
    *,
    add_generation_prompt: bool = False,
    generation_marks: tuple[str, str] | None = None,
  ) -> str:
    """Renders a conversation as text.

    Args:
      messages: In order.
      add_generation_prompt: Whether to end with the assistant's header.
      generation_marks: Written around what stands in `{% generation %}`.

    Raises:
      ChatTemplateError: Naming the template's line and what it says.
    """
    try:
      return self._template.render(
        messages=[dict(m) for m in messages],
        tools=None,
        documents=None,
        add_generation_prompt=add_generation_prompt,
        **self.variables,
        **{_MARKS: generation_marks},
      )
    except Exception as e:  # Whatever a stranger's program may raise.
      roles = ', '.join(m['role'] for m in messages)
      raise _errors.ChatTemplateError(
        f'the chat template {self.name}, line {_line_of(e)}: {e} '
        f'(messages of {roles})'
      ) from e


def _line_of(error: Exception) -> int | str:
  lines = [
    line
    for frame, line in traceback.walk_tb(error.__traceback__)
    if frame.f_code.co_filename == _TEMPLATE_FILE
  ]
  return lines[-1] if lines else 'unknown'
