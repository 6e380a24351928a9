"""What every tokenizer offers to the rest of the house."""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import Protocol

Message = Mapping[str, str]
"""`{'role': 'system' | 'user' | 'assistant', 'content': text}`."""


@dataclasses.dataclass(frozen=True)
class Span:
  """The tokens of one message: its content and its end of turn.

  Attributes:
    start: Index of the first token after the header that names the role.
    stop: One past the end-of-turn token.
    role: Who speaks.
    trained: Whether the model is trained to predict these tokens.
  """

  start: int
  stop: int
  role: str
  trained: bool


@dataclasses.dataclass(frozen=True)
class RenderedChat:
  """A conversation as token ids.

  Attributes:
    tokens: Token ids.
    spans: In order. Those of all of the assistant's messages at least: a Jinja
      template may write others into each other, as Gemma's does.
  """

  tokens: list[int]
  spans: list[Span]


class Tokenizer(Protocol):
  """One tokenizer with its chat template.

  Attributes:
    vocab_size: Ids are in `[0, vocab_size)`.
    bos_id: Begins every document, and a conversation if its template says so.
    eos_id: Ends every document.
    pad_id: Fills what is not a token; may be any of the others, so padding is
      told by segment ids and never by this.
    end_of_turn_id: Ends an answer, the last thing that is trained of it; that
      of `eos_id` if there is no chat template.
    fingerprint: Of model and template; 16 hex digits.
    template_fingerprint: Of the template alone.
  """

  vocab_size: int
  bos_id: int
  eos_id: int
  pad_id: int
  end_of_turn_id: int
  fingerprint: str
  template_fingerprint: str

  @property
  def files(self) -> Mapping[str, bytes]:
    """By name, what others need to read it."""
    ...

  def encode(self, text: str) -> list[int]:
    """Encodes text only: no control id, whatever the text spells.

    Raises:
      ValueError: If `text` is not valid Unicode (a lone surrogate).
    """
    ...

  def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
    """Encodes many texts, faster; each as `encode` would."""
    ...

  def decode(self, ids: Sequence[int]) -> str:
    """Inverts `encode`; control ids are rendered as their names.

    Tokenizers of others may lose what their `losses` says.
    """
    ...

  def render_chat(
    self,
    messages: Sequence[Message],
    *,
    add_generation_prompt: bool = False,
  ) -> RenderedChat:
    """Renders a conversation through the chat template.

    Args:
      messages: In order; each content is encoded as one stretch.
      add_generation_prompt: Whether to end with the assistant's role token, so
        that what follows is the assistant's next message.

    Raises:
      ValueError: If there is no message, a role is unknown, or the template
        refuses them.
    """
    ...
