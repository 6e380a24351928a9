"""SentencePiece models: text to pieces and back, without loss."""

from collections.abc import Sequence
import itertools
import os

import sentencepiece

from msm_jax.tokenizers import _model_proto
from msm_jax.tokenizers import _text

# SentencePiece writes a space as this character and cannot tell the two apart
# any more. Where a text has the character itself we emit its three bytes.
META_SPACE = '\u2581'


class Pieces:
  """A serialised model.

  Attributes:
    vocab_size: Number of pieces.
    control_ids: Pieces that no text yields, to their ids.
  """

  def __init__(self, model: bytes):
    """Reads a serialised model.

    Raises:
      ValueError: If it is none, or has no byte pieces.
    """
    self._processor = _processor(model)
    # Of what follows the first stretch of a text.
    self._continuing = self._processor
    if _model_proto.read(model).add_dummy_prefix:
      self._continuing = _processor(_model_proto.without_dummy_prefix(model))
    self.vocab_size = self._processor.vocab_size()
    self._is_control = [
      self._processor.is_control(i) or self._processor.is_unknown(i)
      for i in range(self.vocab_size)
    ]
    self.control_ids = {
      self._processor.id_to_piece(i): i
      for i in range(self.vocab_size)
      if self._is_control[i]
    }
    self._meta_space_ids = [self._byte_id(b) for b in META_SPACE.encode()]

  def role(self, name: str) -> str | None:
    """Returns the piece that the model itself calls bos, eos or pad."""
    token = getattr(self._processor, f'{name}_id')()
    return self._processor.id_to_piece(token) if token >= 0 else None

  def has(self, piece: str) -> bool:
    token = self._processor.piece_to_id(piece)
    return self._processor.id_to_piece(token) == piece

  def _byte_id(self, byte: int) -> int:
    token = self._processor.piece_to_id(f'<0x{byte:02X}>')
    if not self._processor.is_byte(token):
      raise ValueError(
        'the SentencePiece model has no byte pieces, so that characters that '
        'it does not know would be lost: train it with byte_fallback=True'
      )
    return token

  def encode(self, text: str) -> list[int]:
    if META_SPACE not in text:
      return self._encode_plain([text])[0]
    first, *rest = text.split(META_SPACE)
    ids = self._encode_plain([first])[0]
    for stretch in rest:
      _text.check_is_unicode(stretch)
      ids += [*self._meta_space_ids, *self._continuing.encode(stretch)]
    return ids

  def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
    if any(META_SPACE in t for t in texts):
      return [self.encode(t) for t in texts]
    return self._encode_plain(texts)

  def _encode_plain(self, texts: Sequence[str]) -> list[list[int]]:
    for text in texts:
      _text.check_is_unicode(text)
    if len(texts) == 1:
      return [self._processor.encode(texts[0])]
    return self._processor.encode(
      list(texts), num_threads=min(len(texts), os.cpu_count() or 1)
    )

  def encode_with_offsets(
    self, text: str
  ) -> tuple[list[int], list[tuple[int, int]]]:
    """Returns ids, and the first and one past the last character of each."""
    ids: list[int] = []
    offsets: list[tuple[int, int]] = []
    processor, at = self._processor, 0
    for index, stretch in enumerate(text.split(META_SPACE)):
      if index:
        ids += self._meta_space_ids
        offsets += [(at, at + 1)] * len(self._meta_space_ids)
        processor, at = self._continuing, at + 1
      found = processor.encode_as_offset_mapping(stretch)
      ids += found['ids']
      offsets += [(at + start, at + stop) for start, stop in found['offsets']]
      at += len(stretch)
    return ids, offsets

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


def _processor(model: bytes) -> sentencepiece.SentencePieceProcessor:
  if not model:  # Which SentencePiece accepts.
    raise ValueError('the SentencePiece model is empty: copy it again')
  try:
    return sentencepiece.SentencePieceProcessor(model_proto=model)
  except RuntimeError as e:
    raise ValueError(
      f'not a complete SentencePiece model ({len(model)} bytes): {e}; copy it '
      'again'
    ) from e
