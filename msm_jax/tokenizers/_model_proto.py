"""Reads and edits serialised SentencePiece models.

Only the few fields that matter here, by the wire format of protocol buffers
(protobuf.dev/programming-guides/encoding) and the field numbers of
`sentencepiece_model.proto`.
"""

from collections.abc import Callable
from collections.abc import Iterator
import dataclasses

# Of ModelProto.
_PIECES = 1
_NORMALIZER = 3
# Of SentencePiece.
_PIECE = 1
_TYPE = 3
# Of NormalizerSpec.
_ADD_DUMMY_PREFIX = 3

_NORMAL = 1
_CONTROL = 3
_USER_DEFINED = 4

_VARINT = 0
_FIXED_64 = 1
_BYTES = 2
_FIXED_32 = 5


@dataclasses.dataclass(frozen=True)
class Model:
  """What a serialised model says.

  Attributes:
    user_defined: Pieces that are found in text wherever they stand.
    add_dummy_prefix: Whether a space is put before every text.
  """

  user_defined: tuple[str, ...]
  add_dummy_prefix: bool


def read(model: bytes) -> Model:
  """Reads a serialised model.

  Raises:
    ValueError: If it is none, or cut short.
  """
  user_defined = []
  add_dummy_prefix = True  # The default of the format.
  for number, value, _ in _fields(model):
    if number == _PIECES and isinstance(value, bytes):
      piece = {n: v for n, v, _ in _fields(value)}
      if piece.get(_TYPE) == _USER_DEFINED:
        user_defined.append(_to_text(piece.get(_PIECE)))
    elif number == _NORMALIZER and isinstance(value, bytes):
      spec = {n: v for n, v, _ in _fields(value)}
      add_dummy_prefix = bool(spec.get(_ADD_DUMMY_PREFIX, True))
  return Model(tuple(user_defined), add_dummy_prefix)


def with_control(model: bytes, names: frozenset[str]) -> bytes:
  """Returns a model whose pieces of these names are control tokens.

  SentencePiece finds a user-defined piece in every text, a control token in
  none. No other id changes.
  """

  def edit(number: int, value: bytes) -> bytes:
    if number != _PIECES:
      return value
    piece = {n: v for n, v, _ in _fields(value)}
    if _to_text(piece.get(_PIECE)) not in names:
      return value
    return _without(value, _TYPE) + bytes([_TYPE << 3 | _VARINT, _CONTROL])

  return _edited(model, edit)


def without_dummy_prefix(model: bytes) -> bytes:
  """Returns a model that puts no space before a text."""

  def edit(number: int, value: bytes) -> bytes:
    if number != _NORMALIZER:
      return value
    off = bytes([_ADD_DUMMY_PREFIX << 3 | _VARINT, 0])
    return _without(value, _ADD_DUMMY_PREFIX) + off

  return _edited(model, edit)


def _to_text(value: int | bytes | None) -> str:
  return value.decode('utf-8') if isinstance(value, bytes) else ''


def _edited(model: bytes, edit: Callable[[int, bytes], bytes]) -> bytes:
  parts = []
  for number, value, raw in _fields(model):
    if not isinstance(value, bytes) or (new := edit(number, value)) == value:
      parts.append(raw)
    else:
      tag = _to_varint(number << 3 | _BYTES)
      parts.append(tag + _to_varint(len(new)) + new)
  return b''.join(parts)


def _without(message: bytes, number: int) -> bytes:
  return b''.join(raw for n, _, raw in _fields(message) if n != number)


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes, bytes]]:
  """Yields number, value and bytes of each field of a message."""
  at = 0
  while at < len(message):
    begin = at
    tag, at = _varint(message, at)
    number, kind = tag >> 3, tag & 7
    value: int | bytes
    if kind == _VARINT:
      value, at = _varint(message, at)
    elif kind in (_FIXED_64, _FIXED_32, _BYTES):
      size = {_FIXED_64: 8, _FIXED_32: 4}.get(kind)
      if size is None:
        size, at = _varint(message, at)
      value = message[at : at + size]
      at += size
    else:
      raise ValueError(f'not a SentencePiece model (wire type {kind})')
    if at > len(message):
      raise ValueError('a SentencePiece model that was cut short')
    yield number, value, message[begin:at]


def _varint(data: bytes, at: int) -> tuple[int, int]:
  value = shift = 0
  while True:
    if at >= len(data):
      raise ValueError('a SentencePiece model that was cut short')
    byte = data[at]
    at += 1
    value |= (byte & 0x7F) << shift
    if byte < 0x80:
      return value, at
    shift += 7


def _to_varint(value: int) -> bytes:
  parts = bytearray()
  while value >= 0x80:
    parts.append(value & 0x7F | 0x80)
    value >>= 7
  return bytes([*parts, value])
