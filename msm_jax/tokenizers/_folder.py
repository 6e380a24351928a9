"""A folder with a tokenizer of others, as it is downloaded."""

from collections.abc import Mapping
import dataclasses
import json
import os
from typing import Any

from msm_jax import schema
from msm_jax import storage
from msm_jax.tokenizers import _errors
from msm_jax.tokenizers import _spec

TOKENIZER_JSON = 'tokenizer.json'
MODEL = 'tokenizer.model'
CONFIG = 'tokenizer_config.json'
SPECIAL_TOKENS_MAP = 'special_tokens_map.json'
GENERATION_CONFIG = 'generation_config.json'
CHAT_TEMPLATE = 'chat_template.jinja'

# Everything that `transformers` may read of a tokenizer.
_NAMES = (
  TOKENIZER_JSON,
  MODEL,
  CONFIG,
  SPECIAL_TOKENS_MAP,
  GENERATION_CONFIG,
  CHAT_TEMPLATE,
  'added_tokens.json',
  'vocab.json',
  'merges.txt',
)
# Of an added token, beside its content.
_FIELDS = ('lstrip', 'rstrip', 'normalized', 'single_word', 'special')


@dataclasses.dataclass(frozen=True)
class SpecialTokens:
  """What a tokenizer's files say of its special tokens.

  Attributes:
    named: By role, e.g. `{'bos_token': '<s>'}`: what a chat template sees.
    others: Further special tokens.
    declared: Id to what the files say of an added token, `AddedToken`'s
      arguments.
  """

  named: dict[str, str]
  others: tuple[str, ...]
  declared: dict[int, dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Folder:
  """The files of a tokenizer.

  Attributes:
    path: Where they were read.
    files: Name to content.
  """

  path: str
  files: Mapping[str, bytes]

  def where(self, name: str) -> str:
    return storage.join(self.path, name)

  def json(self, name: str) -> dict[str, Any]:
    """Reads a JSON object; empty if there is no such file.

    Raises:
      TokenizerError: Naming the file that is no JSON object.
    """
    if name not in self.files:
      return {}
    try:
      value = json.loads(self.files[name])
    except ValueError as e:
      raise _errors.TokenizerError(
        f'{self.where(name)}: not JSON: {e}; it was cut short or changed: copy '
        'it again'
      ) from e
    if not isinstance(value, dict):
      raise _errors.TokenizerError(
        f'{self.where(name)}: expected a JSON object, found '
        f'{type(value).__name__}'
      )
    return value

  def special_tokens(self) -> SpecialTokens:
    """Reads special tokens in the order in which `transformers` does.

    Raises:
      TokenizerError: Naming the file that does not say it as others do.
    """
    try:
      return self._special_tokens()
    except (AttributeError, KeyError, TypeError, ValueError) as e:
      if isinstance(e, _errors.TokenizerError):
        raise
      raise _errors.TokenizerError(
        f'{self.where(CONFIG)}: its special tokens cannot be read: {e!r}; '
        'expected names, or objects with "content" as `transformers` writes '
        'them'
      ) from e

  def _special_tokens(self) -> SpecialTokens:
    raw = self.json(CONFIG)
    if 'added_tokens_decoder' not in raw:
      raw = {**raw, **self.json(SPECIAL_TOKENS_MAP)}
    named = {
      key: _content(value)
      for key, value in raw.items()
      if key.endswith('_token') and isinstance(value, str | dict)
    }
    others: list[str] = []
    for key in ('additional_special_tokens', 'extra_special_tokens'):
      if isinstance(found := raw.get(key), dict):
        named |= {name: _content(value) for name, value in found.items()}
      else:
        others += map(_content, found or [])
    declared = {
      int(token): {k: fields[k] for k in _FIELDS if k in fields}
      | {'content': _content(fields)}
      for token, fields in raw.get('added_tokens_decoder', {}).items()
    }
    return SpecialTokens(named, tuple(others), declared)

  def chat_template(self, choice: str | None) -> tuple[str, str] | None:
    """Returns the text of the chat template and where it comes from.

    Args:
      choice: See `TokenizerSpec.template`.

    Raises:
      TokenizerError: If there is no such template, or if the folder has several
        and none is the default.
    """
    if choice is not None:
      return _chosen_template(choice)
    if CHAT_TEMPLATE in self.files:
      return self.files[CHAT_TEMPLATE].decode(), self.where(CHAT_TEMPLATE)
    found = self.json(CONFIG).get('chat_template')
    if isinstance(found, list):
      by_name = {t['name']: t['template'] for t in found}
      if 'default' not in by_name:
        raise _errors.TokenizerError(
          f'{self.where(CONFIG)}: chat_template has {sorted(by_name)} but no '
          "'default'; write one to a file and name it as template"
        )
      found = by_name['default']
    return None if found is None else (found, self.where(CONFIG))


def _content(value: Any) -> str:
  content = value['content'] if isinstance(value, dict) else value
  if not isinstance(content, str):
    raise TypeError(f'{content!r} is no string')
  return content


def _chosen_template(choice: str) -> tuple[str, str]:
  if choice in _spec.BUILT_IN_TEMPLATES:
    return _spec.built_in_template(choice), f'{choice!r} of this package'
  if not storage.exists(choice):
    raise _errors.TokenizerError(
      f'tokenizer.template: {choice!r} is neither a file nor one of '
      f'{", ".join(_spec.BUILT_IN_TEMPLATES)}'
      f'{schema.suggest(choice, _spec.BUILT_IN_TEMPLATES)}'
    )
  return storage.read_text(choice), choice


def read(path: str | os.PathLike[str]) -> Folder:
  """Reads a folder, a `tokenizer.json` or a SentencePiece `.model`.

  Raises:
    storage.NotPublishedError: If there is nothing of that kind.
  """
  path = os.fspath(path)
  if path.endswith('.model') and storage.exists(path):
    return Folder(os.path.dirname(path), {MODEL: storage.read_bytes(path)})
  there = storage.list_dir(path)
  files = {
    name: storage.read_bytes(storage.join(path, name))
    for name in _NAMES
    if name in there
  }
  if TOKENIZER_JSON not in files and MODEL not in files:
    raise storage.NotPublishedError(
      f'{path}: has neither {TOKENIZER_JSON} nor {MODEL}'
      f'{f" (it has {there[:10]})" if there else ", or does not exist"}'
    )
  return Folder(path, files)
