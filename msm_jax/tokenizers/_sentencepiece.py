"""SentencePiece models behind the tokenizer protocol."""

from collections.abc import Sequence
import hashlib
import itertools
import json
import os

import sentencepiece

from msm_jax import storage
from msm_jax.tokenizers import _protocol
from msm_jax.tokenizers import _template

MODEL_NAME = 'tokenizer.model'
TEMPLATE_NAME = 'template.json'
KIND = 'tokenizer'

# SentencePiece writes a space as this character and cannot tell the two apart
# any more. Where a text has the character itself we emit its three bytes.
_META_SPACE = '\u2581'


class SentencePieceTokenizer:
  """A SentencePiece model and a chat template; see `Tokenizer`.

  Decoding what was encoded gives back every valid Unicode text, unchanged. This
  needs byte fallback and identity normalisation, which is checked.
  """

  def __init__(
    self,
    model: bytes,
    template: _template.ChatTemplate | None = None,
    *,
    eos: str = '<eos>',
    pad: str = '<pad>',
  ):
    """Wraps a serialised model.

    Raises:
      ValueError: If the model lacks a control token or byte fallback, or
        changes text before it encodes it.
    """
    self.template = template or _template.ChatTemplate()
    self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    self.vocab_size = self._processor.vocab_size()
    self._is_control = [
      self._processor.is_control(i) or self._processor.is_unknown(i)
      for i in range(self.vocab_size)
    ]
    self.bos_id = self.control_id(self.template.bos)
    self.eos_id = self.control_id(eos)
    self.pad_id = self.control_id(pad)
    self.end_of_turn_id = self.control_id(self.template.end_of_turn)
    self._role_ids = [self.control_id(t) for t in self.template.roles.values()]
    self._meta_space_ids = [
      self._byte_id(b) for b in _META_SPACE.encode('utf-8')
    ]
    self._check_is_lossless()
    self.template_fingerprint = self.template.fingerprint
    self.model_fingerprint = hashlib.sha256(model).hexdigest()[:16]
    self.fingerprint = storage.fingerprint(
      {'model': self.model_fingerprint, 'template': self.template.to_json()}
    )

  def control_id(self, name: str) -> int:
    """Returns the id of a control token.

    Raises:
      ValueError: If the vocabulary has no control token of that name.
    """
    token = self._processor.piece_to_id(name)
    if not self._processor.is_control(token):
      raise ValueError(
        f'the SentencePiece model has no control token {name!r}: train it with '
        'msm_jax.tokenizers.train_sentencepiece'
      )
    return token

  def _byte_id(self, byte: int) -> int:
    token = self._processor.piece_to_id(f'<0x{byte:02X}>')
    if not self._processor.is_byte(token):
      raise ValueError(
        'the SentencePiece model has no byte pieces: train it with '
        'byte_fallback=True'
      )
    return token

  def _check_is_lossless(self) -> None:
    probe = ' two  spaces\n\n\ttab \u212b \ufb01 end '
    if (got := self.decode(self.encode(probe))) != probe:
      raise ValueError(
        f'the SentencePiece model changes text: {probe!r} becomes {got!r}; '
        'train it with normalization_rule_name=identity, '
        'add_dummy_prefix=False and remove_extra_whitespaces=False'
      )

  def encode(self, text: str) -> list[int]:
    if _META_SPACE not in text:
      return self._encode_plain([text])[0]
    stretches = self._encode_plain(text.split(_META_SPACE))
    ids = stretches[0]
    for stretch in stretches[1:]:
      ids = [*ids, *self._meta_space_ids, *stretch]
    return ids

  def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
    if any(_META_SPACE in t for t in texts):
      return [self.encode(t) for t in texts]
    return self._encode_plain(texts)

  def _encode_plain(self, texts: Sequence[str]) -> list[list[int]]:
    for text in texts:
      _check_is_unicode(text)
    if len(texts) == 1:
      return [self._processor.encode(texts[0])]
    return self._processor.encode(
      list(texts), num_threads=min(len(texts), os.cpu_count() or 1)
    )

  def decode(self, ids: Sequence[int]) -> str:
    parts: list[str] = []
    for is_control, group in itertools.groupby(
      (int(i) for i in ids), key=self._is_control.__getitem__
    ):
      if is_control:
        parts.extend(self._processor.id_to_piece(i) for i in group)
      else:
        parts.append(self._processor.decode(list(group)))
    return ''.join(parts)

  def render_chat(
    self,
    messages: Sequence[_protocol.Message],
    *,
    add_generation_prompt: bool = False,
  ) -> _protocol.RenderedChat:
    return self.template.render(
      messages,
      encode=self.encode,
      control_id=self.control_id,
      add_generation_prompt=add_generation_prompt,
    )


def _check_is_unicode(text: str) -> None:
  if text.isascii():
    return
  try:
    text.encode('utf-8')
  except UnicodeEncodeError as e:
    raise ValueError(
      f'character {e.start} of the text is the lone surrogate '
      f'{text[e.start]!a}, which is not valid Unicode'
    ) from e


def load_tokenizer(path: str | os.PathLike[str]) -> SentencePieceTokenizer:
  """Loads a published tokenizer, after verifying its checksums.

  Args:
    path: A directory of kind 'tokenizer', local or `gs://…`.

  Raises:
    storage.NotPublishedError: If the directory was never finished.
    storage.CorruptError: If a file was cut short or changed.
  """
  storage.verify(os.fspath(path), kind=KIND)
  template = storage.read_text(storage.join(os.fspath(path), TEMPLATE_NAME))
  return SentencePieceTokenizer(
    storage.read_bytes(storage.join(os.fspath(path), MODEL_NAME)),
    _template.ChatTemplate.from_json(json.loads(template)),
  )
