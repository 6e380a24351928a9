"""The chat template: which control tokens stand around which content."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import Any

from msm_jax import storage
from msm_jax.tokenizers import _protocol

_VERSION = 1


@dataclasses.dataclass(frozen=True)
class ChatTemplate:
  """`<bos>`, then per message a role token, the content, the end of turn.

  Attributes:
    bos: Name of the control token that begins a conversation.
    end_of_turn: Name of the control token that ends every message.
    roles: Role to the name of its control token.
    trained_roles: Roles whose messages the model is trained to produce.
  """

  bos: str = '<bos>'
  end_of_turn: str = '<|end|>'
  roles: Mapping[str, str] = dataclasses.field(
    default_factory=lambda: {
      'system': '<|system|>',
      'user': '<|user|>',
      'assistant': '<|assistant|>',
    }
  )
  trained_roles: tuple[str, ...] = ('assistant',)

  @property
  def control_tokens(self) -> tuple[str, ...]:
    """The names that a vocabulary must have beyond bos, eos and pad."""
    return (*self.roles.values(), self.end_of_turn)

  @property
  def fingerprint(self) -> str:
    return storage.fingerprint(self.to_json())

  def to_json(self) -> dict[str, Any]:
    return {
      'version': _VERSION,
      'bos': self.bos,
      'end_of_turn': self.end_of_turn,
      'roles': dict(self.roles),
      'trained_roles': list(self.trained_roles),
    }

  @classmethod
  def from_json(cls, raw: Mapping[str, Any]) -> 'ChatTemplate':
    if raw.get('version') != _VERSION:
      raise ValueError(
        f'template version {raw.get("version")!r}: this code reads {_VERSION}'
      )
    return cls(
      bos=raw['bos'],
      end_of_turn=raw['end_of_turn'],
      roles=dict(raw['roles']),
      trained_roles=tuple(raw['trained_roles']),
    )

  def render(
    self,
    messages: Sequence[_protocol.Message],
    *,
    encode: Callable[[str], list[int]],
    control_id: Callable[[str], int],
    add_generation_prompt: bool,
  ) -> _protocol.RenderedChat:
    """Renders `messages`; see `Tokenizer.render_chat`."""
    if not messages:
      raise ValueError('a conversation needs at least one message, has none')
    tokens = [control_id(self.bos)]
    spans = []
    for index, message in enumerate(messages):
      role = message['role']
      if role not in self.roles:
        raise ValueError(
          f'messages[{index}].role: {role!r} is not one of {sorted(self.roles)}'
        )
      tokens.append(control_id(self.roles[role]))
      start = len(tokens)
      tokens.extend(encode(message['content']))
      tokens.append(control_id(self.end_of_turn))
      trained = role in self.trained_roles
      spans.append(_protocol.Span(start, len(tokens), role, trained))
    if add_generation_prompt:
      tokens.append(control_id(self.roles['assistant']))
    return _protocol.RenderedChat(tokens=tokens, spans=spans)
