"""A tokenizer without SentencePiece, whose every token can be checked by eye.

Ids 0 … 255 are the bytes of UTF-8; the control tokens follow.
"""

from collections.abc import Sequence

from msm_jax import tokenizers

_CONTROL = (
  '<pad>',
  '<bos>',
  '<eos>',
  '<|system|>',
  '<|user|>',
  '<|assistant|>',
  '<|end|>',
)


class ByteTokenizer:
  """Implements `tokenizers.Tokenizer`."""

  vocab_size = 256 + len(_CONTROL)
  pad_id, bos_id, eos_id = 256, 257, 258
  end_of_turn_id = 262

  def __init__(self, fingerprint: str = 'bytes', template: str = 'template'):
    self.fingerprint = fingerprint
    self.template_fingerprint = template

  def encode(self, text: str) -> list[int]:
    return list(text.encode('utf-8'))

  def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
    return [self.encode(t) for t in texts]

  def decode(self, ids: Sequence[int]) -> str:
    parts = [_CONTROL[i - 256].encode() if i > 255 else bytes([i]) for i in ids]
    return b''.join(parts).decode('utf-8', errors='replace')

  def render_chat(
    self,
    messages: Sequence[tokenizers.Message],
    *,
    add_generation_prompt: bool = False,
  ) -> tokenizers.RenderedChat:
    return tokenizers.ChatTemplate().render(
      messages,
      encode=self.encode,
      control_id=lambda name: 256 + _CONTROL.index(name),
      add_generation_prompt=add_generation_prompt,
    )
