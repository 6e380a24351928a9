"""`tokenizer.json` of Hugging Face's `tokenizers` behind the protocol."""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import itertools
from typing import Any

import tokenizers

from msm_jax import storage
from msm_jax.tokenizers import _chat
from msm_jax.tokenizers import _conversation
from msm_jax.tokenizers import _errors
from msm_jax.tokenizers import _folder
from msm_jax.tokenizers import _lossless
from msm_jax.tokenizers import _spec
from msm_jax.tokenizers import _text

# A private plane. One character of it stands for one control token while a
# conversation is encoded; see `_Aliased`.
_ALIASES = range(0xF0000, 0xFFFFE)


class HuggingFaceTokenizer(_chat.JinjaTokenizer):
  """A `tokenizer.json` with its chat template; see `Tokenizer`.

  Ids are those of `transformers`, but control tokens come only from the chat
  template: text that spells one is encoded as text. Added tokens that are not
  special, e.g. `<think>`, are found in all text, as `transformers` does.

  Attributes:
    losses: What decoding an encoded text does not give back; see `_lossless`.
  """

  def __init__(self, folder: _folder.Folder, spec: _spec.TokenizerSpec):
    """Reads the files.

    Raises:
      TokenizerError: If a file is damaged, names tokens that are not in the
        vocabulary, or if the tokenizer changes text.
    """
    where = folder.where(_folder.TOKENIZER_JSON)
    special = folder.special_tokens()
    self._tokenizer = _read(folder, special)
    added = self._tokenizer.get_added_tokens_decoder()
    control_ids = {t.content: i for i, t in sorted(added.items()) if t.special}
    _check_words(added.values(), where)
    self.vocab_size = max(self._tokenizer.get_vocab().values()) + 1
    self._control_names = {i: name for name, i in control_ids.items()}
    self._aliased: dict[int, _Aliased] = {}
    self.losses = _lossless.losses(self.encode, self.decode)
    _lossless.check(self.losses, where)
    super().__init__(
      folder,
      spec,
      _chat.Vocabulary(
        control_ids=control_ids,
        others=[t.content for t in added.values() if not t.special],
        special=special,
        defaults=_of_generation(folder, self._control_names),
        fingerprint=storage.fingerprint(folder.files[_folder.TOKENIZER_JSON]),
      ),
    )

  def encode(self, text: str) -> list[int]:
    _text.check_is_unicode(text)
    return self._tokenizer.encode(text, add_special_tokens=False).ids

  def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
    for text in texts:
      _text.check_is_unicode(text)
    encoded = self._tokenizer.encode_batch_fast(
      list(texts), add_special_tokens=False
    )
    return [e.ids for e in encoded]

  def decode(self, ids: Sequence[int]) -> str:
    parts: list[str] = []
    for is_control, group in itertools.groupby(
      (int(i) for i in ids), key=self._control_names.__contains__
    ):
      if is_control:
        parts.extend(self._control_names[i] for i in group)
      else:
        parts.append(
          self._tokenizer.decode(list(group), skip_special_tokens=False)
        )
    return ''.join(parts)

  def _encode_parts(
    self, parts: Sequence[str | _conversation.Control]
  ) -> _chat.EncodedParts:
    aliased = self._with_aliases(self._free_aliases(parts))
    encoded = aliased.tokenizer.encode(
      ''.join(
        p if isinstance(p, str) else aliased.characters[p.name] for p in parts
      ),
      add_special_tokens=False,
    )
    return _chat.EncodedParts(
      ids=[aliased.control_ids.get(i, i) for i in encoded.ids],
      starts=[start for start, _ in encoded.offsets],
      stops=[stop for _, stop in encoded.offsets],
    )

  def _free_aliases(self, parts: Sequence[str | _conversation.Control]) -> int:
    """Returns the first of as many private characters that no text contains."""
    n = len(self.control_ids)
    used = {
      (ord(c) - _ALIASES[0]) // n
      for part in parts
      if isinstance(part, str) and not part.isascii()
      for c in part
      if ord(c) in _ALIASES
    }
    blocks = range(len(_ALIASES) // n)
    return _ALIASES[n * next(b for b in blocks if b not in used)]

  def _with_aliases(self, first: int) -> '_Aliased':
    if first not in self._aliased:
      self._aliased[first] = _Aliased(self._tokenizer, self.control_ids, first)
    return self._aliased[first]


class _Aliased:
  """A tokenizer with a private character for each of its control tokens.

  Content that spells a control token has to stay text, and the template's own
  has to be found, both in one pass over the whole conversation: whether a
  stretch is the first one can make a difference. So no control text is parsed,
  and each control token of the template is written as a character of its own.

  Attributes:
    tokenizer: The copy.
    characters: By the name of the control token.
    control_ids: The copy's ids of these characters to those of the tokens.
  """

  def __init__(
    self,
    tokenizer: tokenizers.Tokenizer,
    control_ids: Mapping[str, int],
    first: int,
  ):
    self.tokenizer = tokenizers.Tokenizer.from_str(tokenizer.to_str())
    self.tokenizer.encode_special_tokens = True
    self.characters = {
      name: chr(first + k) for k, name in enumerate(control_ids)
    }
    known = tokenizer.get_added_tokens_decoder()
    self.tokenizer.add_tokens(
      [
        tokenizers.AddedToken(
          self.characters[name],
          lstrip=known[token].lstrip,
          rstrip=known[token].rstrip,
          normalized=False,
        )
        for name, token in control_ids.items()
      ]
    )
    names = {char: name for name, char in self.characters.items()}
    self.control_ids = {
      token: control_ids[names[added.content]]
      for token, added in self.tokenizer.get_added_tokens_decoder().items()
      if added.content in names
    }


def _read(
  folder: _folder.Folder, special: _folder.SpecialTokens
) -> tokenizers.Tokenizer:
  """Reads the model, with everything off that drops or adds tokens."""
  where = folder.where(_folder.TOKENIZER_JSON)
  data = folder.files[_folder.TOKENIZER_JSON]
  try:
    tokenizer = tokenizers.Tokenizer.from_buffer(data)
  except ValueError as e:
    raise _errors.TokenizerError(
      f'{where}: not a tokenizer of `tokenizers` {tokenizers.__version__}: '
      f'{e}; it was cut short or changed ({len(data)} bytes): copy it again'
    ) from e
  tokenizer.no_truncation()
  tokenizer.no_padding()
  tokenizer.post_processor = None
  named = {*special.named.values(), *special.others}
  unknown = {n for n in named if tokenizer.token_to_id(n) is None} | {
    fields['content']
    for token, fields in special.declared.items()
    if tokenizer.token_to_id(fields['content']) != token
  }
  if unknown:
    raise _errors.TokenizerError(
      f'{folder.where(_folder.CONFIG)} names tokens that {where} does not '
      f'have, or under other ids: {sorted(unknown)}; no model would have an '
      'embedding for them: use the files of one and the same tokenizer'
    )
  tokenizer.add_tokens(
    [tokenizers.AddedToken(**f) for f in special.declared.values()]
  )
  # What has a role is control, whatever else is said of it.
  known = {t.content: t for t in tokenizer.get_added_tokens_decoder().values()}
  for name in sorted(named):
    token = known.get(name, tokenizers.AddedToken(name, normalized=False))
    tokenizer.add_special_tokens([token])
  tokenizer.encode_special_tokens = True
  return tokenizer


def _check_words(added: Iterable[tokenizers.AddedToken], where: str) -> None:
  if words := [t.content for t in added if t.special and t.single_word]:
    raise _errors.TokenizerError(
      f'{where}: the special tokens {words} are found as whole words only '
      '(single_word), which chat templates cannot rely on and which is not '
      'supported: set it to false'
    )


def _of_generation(
  folder: _folder.Folder, control_names: Mapping[int, str]
) -> dict[str, str]:
  """Returns control tokens that only the generation config names.

  Qwen's tokenizers have no `bos_token`, but their models have a `bos_token_id`.
  """
  raw: dict[str, Any] = folder.json(_folder.GENERATION_CONFIG)
  ids = {role: raw.get(f'{role}_token_id') for role in ('bos', 'eos', 'pad')}
  return {
    role: control_names[token]
    for role, token in ids.items()
    if isinstance(token, int) and token in control_names
  }
