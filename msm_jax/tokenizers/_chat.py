"""Conversations of tokenizers whose chat template is a Jinja program."""

import abc
import bisect
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import Any

from msm_jax import schema
from msm_jax import storage
from msm_jax.tokenizers import _controls
from msm_jax.tokenizers import _conversation
from msm_jax.tokenizers import _errors
from msm_jax.tokenizers import _folder
from msm_jax.tokenizers import _jinja
from msm_jax.tokenizers import _protocol
from msm_jax.tokenizers import _spec


@dataclasses.dataclass(frozen=True)
class EncodedParts:
  """Token ids with the characters that each was made of.

  Attributes:
    ids: Token ids.
    starts: Of each token, its first character; a control token counts as one.
    stops: Of each token, one past its last character.
  """

  ids: list[int]
  starts: list[int]
  stops: list[int]


@dataclasses.dataclass(frozen=True)
class Vocabulary:
  """What a model and its files say of control tokens.

  Attributes:
    control_ids: Control tokens to their ids.
    others: Tokens that are found in a text as control tokens are, but are text.
    special: What the files say.
    defaults: Control tokens for 'bos', 'eos' and 'pad' where the files do not
      say.
    fingerprint: Of the model.
  """

  control_ids: Mapping[str, int]
  others: Sequence[str]
  special: _folder.SpecialTokens
  defaults: Mapping[str, str]
  fingerprint: str


class JinjaTokenizer(abc.ABC):
  """The part of a tokenizer that is about control tokens and conversations.

  Attributes:
    path: Where it was read.
    control_ids: Control tokens to their ids.
    files: By name, what others need to read it: the files that it was read
      from, and the chat template if that is another one or sees variables,
      which are then in it.
    template_text: Of the chat template as it was read; None if there is none.
  """

  def __init__(
    self,
    folder: _folder.Folder,
    spec: _spec.TokenizerSpec,
    vocabulary: Vocabulary,
  ):
    """Finds the control tokens' roles and tries the chat template.

    Raises:
      ConfigError: If a control token does not exist, or none is named.
      ChatTemplateError: If the chat template cannot be used.
    """
    self._made_of = folder, spec
    self.path = folder.path
    self.control_ids = dict(vocabulary.control_ids)
    roles = _roles(folder.path, spec, vocabulary)
    self.bos_id = self.control_ids[roles['bos']]
    self.eos_id = self.control_ids[roles['eos']]
    self.pad_id = self.control_ids[roles['pad']]
    self._layout = _layout(folder, spec, vocabulary)
    self.end_of_turn_id = self.eos_id
    self.files = dict(folder.files)
    self.template_text: str | None = None
    described: dict[str, Any] = {'template': None}
    if self._layout is not None:
      self.end_of_turn_id = self.control_ids[self._layout.end_of_turn]
      template = self._layout.template
      self.template_text = template.text
      if spec.template is not None or spec.variables:
        self.files[_folder.CHAT_TEMPLATE] = _jinja.with_values(
          template.text, spec.variables, fixed=vocabulary.special.named
        ).encode()
      described = {
        'template': template.text,
        'variables': template.variables,
        'date': spec.date,
      }
    self.template_fingerprint = storage.fingerprint(described)
    self.fingerprint = storage.fingerprint(
      {
        'model': vocabulary.fingerprint,
        'controls': self.control_ids,
        'roles': roles,
        'template': self.template_fingerprint,
      }
    )

  def __reduce__(self) -> tuple[Any, ...]:
    """Compiled templates do not pickle; what they were made of does."""
    return type(self), self._made_of

  @abc.abstractmethod
  def _encode_parts(
    self, parts: Sequence[str | _conversation.Control]
  ) -> EncodedParts:
    """Encodes control tokens and the stretches of text between them."""

  def render_chat(
    self,
    messages: Sequence[_protocol.Message],
    *,
    add_generation_prompt: bool = False,
  ) -> _protocol.RenderedChat:
    if self._layout is None:
      raise _errors.ChatTemplateError(
        f'{self.path} has no chat template: name a file or one of '
        f'{", ".join(_spec.BUILT_IN_TEMPLATES)} as template'
      )
    layout = self._layout.lay_out(
      messages, add_generation_prompt=add_generation_prompt
    )
    encoded = self._encode_parts(layout.parts)
    if encoded.ids[:2] == [self.bos_id] * 2:
      raise _errors.ChatTemplateError(
        f'the chat template {self._layout.template.name} begins a '
        'conversation with two bos tokens; remove one'
      )
    return _protocol.RenderedChat(
      encoded.ids, [_token_span(encoded, span) for span in layout.spans]
    )


def _token_span(encoded: EncodedParts, span: _protocol.Span) -> _protocol.Span:
  """Returns the span in tokens: all that have a character in it.

  Tokens of a character's first bytes may end where they begin.
  """
  start = min(
    bisect.bisect_right(encoded.stops, span.start),
    bisect.bisect_left(encoded.starts, span.start),
  )
  stop = bisect.bisect_left(encoded.starts, span.stop)
  return dataclasses.replace(span, start=start, stop=stop)


def _roles(
  path: str, spec: _spec.TokenizerSpec, vocabulary: Vocabulary
) -> dict[str, str]:
  """Returns the names of bos, eos and pad."""
  roles: dict[str, str] = {}
  for role in ('bos', 'eos', 'pad'):
    name = (
      getattr(spec, role)
      or vocabulary.special.named.get(f'{role}_token')
      or vocabulary.defaults.get(role)
    )
    if name is None and role == 'pad':
      name = roles['eos']  # What is padding is never told by its id.
    known = sorted(vocabulary.control_ids)
    if name is None:
      raise _errors.TokenizerError(
        f'tokenizer.{role}: {path} names no {role} token, and every document '
        f'{"begins" if role == "bos" else "ends"} with one; choose one of its '
        f'control tokens {", ".join(known[:20])}'
      )
    if name not in vocabulary.control_ids:
      raise _errors.TokenizerError(
        f'tokenizer.{role}: {name!r} is no control token of {path}; it has '
        f'{", ".join(known[:20]) or "none"}{schema.suggest(name, known)}'
      )
    roles[role] = name
  return roles


def _layout(
  folder: _folder.Folder, spec: _spec.TokenizerSpec, vocabulary: Vocabulary
) -> _conversation.ChatLayout | None:
  if (found := folder.chat_template(spec.template)) is None:
    return None
  text, name = found
  template = _jinja.JinjaTemplate(
    text,
    name=name,
    variables={**vocabulary.special.named, **spec.variables},
    date=spec.day,
  )
  controls = _controls.Controls(vocabulary.control_ids, vocabulary.others)
  return _conversation.ChatLayout(template, controls)
