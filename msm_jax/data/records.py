"""The binary layout of a packed sequence, and of the tables beside it.

A record is little-endian int32 throughout:
  header   [4]        magic, sequence length L, number of segments S, 0
  fields   [5, L]     tokens, targets, segment_ids, positions, loss_weights
                      (the last as float32 bits)
  segments [S, 2]     document index, piece within the document
"""

import dataclasses

import numpy as np

FIELDS = ('tokens', 'targets', 'segment_ids', 'positions', 'loss_weights')
LAYOUT_VERSION = 1

_MAGIC = 0x6D736D00 + LAYOUT_VERSION
_HEADER = 4
_DTYPE = np.dtype('<i4')


class RecordError(ValueError):
  """Bytes that are not a record of this layout."""


@dataclasses.dataclass(frozen=True)
class Record:
  """One packed sequence.

  Attributes:
    fields: [5, L] int32, in the order of FIELDS.
    segments: [S, 2] int32: document index and piece of segment 1 … S.
  """

  fields: np.ndarray
  segments: np.ndarray

  def to_bytes(self) -> bytes:
    length, count = self.fields.shape[1], len(self.segments)
    header = np.array([_MAGIC, length, count, 0], _DTYPE)
    parts = [header, self.fields.ravel(), self.segments.ravel()]
    return np.concatenate(parts).astype(_DTYPE, copy=False).tobytes()

  @classmethod
  def from_bytes(cls, data: bytes) -> 'Record':
    """Views `data` without copying it; the arrays are read-only.

    Raises:
      RecordError: If the bytes are not one whole record.
    """
    if len(data) % 4 or len(data) < 4 * _HEADER:
      raise RecordError(f'{len(data)} bytes are not a packed sequence')
    words = np.frombuffer(data, _DTYPE)
    magic, length, count, _ = words[:_HEADER].tolist()
    expected = _HEADER + 5 * length + 2 * count
    if magic != _MAGIC or words.size != expected:
      raise RecordError(
        f'not a packed sequence of layout {LAYOUT_VERSION}: prepare the source '
        'again'
      )
    body = _HEADER + 5 * length
    return cls(
      fields=words[_HEADER:body].reshape(5, length),
      segments=words[body:].reshape(count, 2),
    )

  def to_dict(self) -> dict[str, np.ndarray]:
    """Returns the batch vocabulary, each array of shape [L]."""
    named: dict[str, np.ndarray] = dict(zip(FIELDS, self.fields, strict=True))
    named['loss_weights'] = self.fields[4].view(np.float32)
    return named
