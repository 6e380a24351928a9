"""SentencePiece models behind the protocol: our own and those of others.

Both decode to the text that was encoded, whatever Unicode it is.
"""

from collections.abc import Sequence
import dataclasses
import hashlib

from msm_jax import schema
from msm_jax import storage
from msm_jax.tokenizers import _chat
from msm_jax.tokenizers import _conversation
from msm_jax.tokenizers import _errors
from msm_jax.tokenizers import _folder
from msm_jax.tokenizers import _lossless
from msm_jax.tokenizers import _model_proto
from msm_jax.tokenizers import _pieces
from msm_jax.tokenizers import _protocol
from msm_jax.tokenizers import _spec
from msm_jax.tokenizers import _template


class _PieceTokenizer:
  """The part that is about text."""

  def __init__(self, pieces: _pieces.Pieces):
    self._pieces = pieces
    self.vocab_size = pieces.vocab_size

  def encode(self, text: str) -> list[int]:
    return self._pieces.encode(text)

  def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
    return self._pieces.encode_batch(texts)

  def decode(self, ids: Sequence[int]) -> str:
    return self._pieces.decode(ids)


class SentencePieceTokenizer(_PieceTokenizer):
  """A model that we trained and our own chat template; see `Tokenizer`.

  Decoding what was encoded gives back every valid Unicode text, unchanged. This
  needs byte fallback and identity normalisation, which is checked.

  Attributes:
    files: By name, what others need to read the model.
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
    _PieceTokenizer.__init__(self, _pieces.Pieces(model))
    self.bos_id = self.control_id(self.template.bos)
    self.eos_id = self.control_id(eos)
    self.pad_id = self.control_id(pad)
    self.end_of_turn_id = self.control_id(self.template.end_of_turn)
    for name in self.template.roles.values():
      self.control_id(name)
    if _model_proto.read(model).add_dummy_prefix:
      raise ValueError(
        'the SentencePiece model changes text: it writes a space before every '
        'stretch of it; train it with add_dummy_prefix=False'
      )
    _lossless.check(
      _lossless.losses(self.encode, self.decode),
      'the SentencePiece model',
      strictly=True,
    )
    self.files = {_folder.MODEL: model}
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
    if name not in self._pieces.control_ids:
      raise ValueError(
        f'the SentencePiece model has no control token {name!r}: train it with '
        'msm_jax.tokenizers.train_sentencepiece'
      )
    return self._pieces.control_ids[name]

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


class ForeignSentencePieceTokenizer(_PieceTokenizer, _chat.JinjaTokenizer):
  """A model that others trained, e.g. for Gemma or Llama 2; see `Tokenizer`.

  Ids of a text are those of SentencePiece, except that control tokens come only
  from the chat template, also those that the model calls user-defined and would
  find in text, and that U+2581 is kept. In a conversation every stretch between
  control tokens is encoded for itself. A model with a dummy prefix (Llama 2)
  writes a space before each stretch, and before the text that follows a
  document's masked prefix.

  Attributes:
    losses: What decoding an encoded text does not give back: nothing.
  """

  def __init__(self, folder: _folder.Folder, spec: _spec.TokenizerSpec):
    """Reads the files.

    Raises:
      TokenizerError: If the model is damaged or changes text, or if the files
        name tokens that it does not have.
    """
    where = folder.where(_folder.MODEL)
    model = folder.files[_folder.MODEL]
    try:
      found = _model_proto.read(model)
      pieces = _pieces.Pieces(model)
    except ValueError as e:
      raise _errors.TokenizerError(f'{where}: {e}') from e
    special = _special_tokens(folder, pieces)
    control = _control_pieces(found, pieces, special, folder, spec)
    _PieceTokenizer.__init__(
      self, _pieces.Pieces(_model_proto.with_control(model, control))
    )
    self.losses = _lossless.losses(self.encode, self.decode)
    _lossless.check(self.losses, where)
    _chat.JinjaTokenizer.__init__(
      self,
      folder,
      spec,
      _chat.Vocabulary(
        control_ids=self._pieces.control_ids,
        others=(),
        special=special,
        defaults={},
        fingerprint=storage.fingerprint(model),
      ),
    )

  def _encode_parts(
    self, parts: Sequence[str | _conversation.Control]
  ) -> _chat.EncodedParts:
    ids: list[int] = []
    offsets: list[tuple[int, int]] = []
    at = 0
    for part in parts:
      if isinstance(part, _conversation.Control):
        ids.append(self._pieces.control_ids[part.name])
        offsets.append((at, at + 1))
        at += 1
      else:
        found, places = self._pieces.encode_with_offsets(part)
        ids += found
        offsets += [(at + start, at + stop) for start, stop in places]
        at += len(part)
    return _chat.EncodedParts(
      ids, [start for start, _ in offsets], [stop for _, stop in offsets]
    )


def _special_tokens(
  folder: _folder.Folder, pieces: _pieces.Pieces
) -> _folder.SpecialTokens:
  """Returns what the files say, and the model itself where they do not.

  Raises:
    TokenizerError: If they name what is no piece of the model.
  """
  special = folder.special_tokens()
  declared = [fields['content'] for fields in special.declared.values()]
  every = [*special.named.values(), *special.others, *declared]
  if unknown := sorted({name for name in every if not pieces.has(name)}):
    raise _errors.TokenizerError(
      f'{folder.where(_folder.CONFIG)} names tokens that '
      f'{folder.where(_folder.MODEL)} does not have: {unknown}; no model would '
      'have an embedding for them: use the files of one and the same tokenizer'
    )
  own = {f'{role}_token': pieces.role(role) for role in ('bos', 'eos', 'pad')}
  named = {key: name for key, name in own.items() if name is not None}
  return dataclasses.replace(special, named=named | special.named)


def _control_pieces(
  found: _model_proto.Model,
  pieces: _pieces.Pieces,
  special: _folder.SpecialTokens,
  folder: _folder.Folder,
  spec: _spec.TokenizerSpec,
) -> frozenset[str]:
  """Returns the user-defined pieces that are control tokens.

  A model does not say which they are: Gemma's `<start_of_turn>` and its
  `<table>` are of one kind. They are those that its files call special, and
  those that the chat template writes.
  """
  for name in spec.control_tokens:
    if name not in found.user_defined and name not in pieces.control_ids:
      raise _errors.TokenizerError(
        f'tokenizer.control_tokens: {name!r} is neither a control nor a '
        f'user-defined piece of {folder.where(_folder.MODEL)}'
        f'{schema.suggest(name, found.user_defined)}'
      )
  names = {
    *spec.control_tokens,
    *special.named.values(),
    *special.others,
    *(f['content'] for f in special.declared.values() if f.get('special')),
  }
  text, _ = folder.chat_template(spec.template) or ('', '')
  return frozenset(
    name
    for name in found.user_defined
    if name in names or (name in text and not name.isspace())
  )
