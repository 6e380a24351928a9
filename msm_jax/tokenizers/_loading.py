"""Loads a tokenizer of any kind, and publishes one that others made."""

import dataclasses
import json
import os
import pathlib
from typing import Any
from typing import TypeAlias

from msm_jax import storage
from msm_jax.tokenizers import _errors
from msm_jax.tokenizers import _folder
from msm_jax.tokenizers import _huggingface
from msm_jax.tokenizers import _sentencepiece
from msm_jax.tokenizers import _spec
from msm_jax.tokenizers import _template

KIND = 'tokenizer'
# Of a tokenizer that we trained.
TEMPLATE_NAME = 'template.json'
# Of one that others made, beside its own files.
SPEC_NAME = 'msm_tokenizer.json'
CHOSEN_TEMPLATE_NAME = 'msm_template.jinja'

AnyTokenizer: TypeAlias = (
  _sentencepiece.SentencePieceTokenizer
  | _sentencepiece.ForeignSentencePieceTokenizer
  | _huggingface.HuggingFaceTokenizer
)


def load_tokenizer(
  path: str | os.PathLike[str], spec: _spec.TokenizerSpec | None = None
) -> AnyTokenizer:
  """Loads a tokenizer.

  Args:
    path: A published directory of kind 'tokenizer', whose checksums are
      verified; or a folder of others, with `tokenizer.json` or
      `tokenizer.model`; or such a `.model` itself. Local or `gs://…`.
    spec: Choices for a tokenizer of others that was not published.

  Raises:
    storage.NotPublishedError: If there is none, or it was never finished.
    storage.CorruptError: If a published file was cut short or changed.
    TokenizerError: If its files are damaged, do not belong together, or leave
      open what a `spec` has to say; also if it changes text.
  """
  path = os.fspath(path)
  if is_published(path):
    if spec is not None:
      raise _errors.TokenizerError(
        f'{path}: is published, with choices of its own; publish it again with '
        'others'
      )
    return _load_published(path)
  return _of_folder(_folder.read(path), spec or _spec.TokenizerSpec())


def is_published(path: str | os.PathLike[str]) -> bool:
  """Whether a directory is a published tokenizer, or the rest of one.

  Others may publish theirs: a model that we exported has a manifest, and files
  of a tokenizer as it is downloaded.
  """
  names = set(storage.list_dir(os.fspath(path)))
  if {TEMPLATE_NAME, SPEC_NAME} & names:
    return True
  downloaded = {_folder.TOKENIZER_JSON, _folder.MODEL} & names
  return storage.MANIFEST_NAME in names and not downloaded


def _load_published(path: str) -> AnyTokenizer:
  manifest = storage.verify(path, kind=KIND)
  if SPEC_NAME in manifest.files:
    spec = _spec.TokenizerSpec.from_json(
      storage.read_json(storage.join(path, SPEC_NAME))
    )
    if CHOSEN_TEMPLATE_NAME in manifest.files:
      chosen = storage.join(path, CHOSEN_TEMPLATE_NAME)
      spec = dataclasses.replace(spec, template=chosen)
    return _of_folder(_folder.read(path), spec)
  template = storage.read_json(storage.join(path, TEMPLATE_NAME))
  return _sentencepiece.SentencePieceTokenizer(
    storage.read_bytes(storage.join(path, _folder.MODEL)),
    _template.ChatTemplate.from_json(template),
  )


def _of_folder(
  folder: _folder.Folder, spec: _spec.TokenizerSpec
) -> (
  _huggingface.HuggingFaceTokenizer
  | _sentencepiece.ForeignSentencePieceTokenizer
):
  if _folder.TOKENIZER_JSON in folder.files:
    return _huggingface.HuggingFaceTokenizer(folder, spec)
  return _sentencepiece.ForeignSentencePieceTokenizer(folder, spec)


def import_tokenizer(
  source: str | os.PathLike[str],
  out: str | os.PathLike[str],
  spec: _spec.TokenizerSpec | None = None,
) -> (
  _huggingface.HuggingFaceTokenizer
  | _sentencepiece.ForeignSentencePieceTokenizer
):
  """Publishes a tokenizer of others as a directory of kind 'tokenizer'.

  Its files are copied byte for byte; what `spec` chooses is written beside
  them, with the text of the template.

  Args:
    source: A folder with `tokenizer.json` or `tokenizer.model`, or a `.model`.
    out: The directory to publish.
    spec: Choices.

  Raises:
    storage.NotPublishedError: If there is no tokenizer at `source`.
    TokenizerError: See `load_tokenizer`; nothing is published then.
  """
  spec = spec or _spec.TokenizerSpec()
  folder = _folder.read(source)
  tokenizer = _of_folder(folder, spec)
  with storage.publish(os.fspath(out), kind=KIND) as publication:
    for name, data in folder.files.items():
      (publication.dir / name).write_bytes(data)
    if spec.template is not None and tokenizer.template_text is not None:
      (publication.dir / CHOSEN_TEMPLATE_NAME).write_bytes(
        tokenizer.template_text.encode()
      )
    _write_json(publication.dir / SPEC_NAME, spec.to_json())
    publication.info.update(
      vocab_size=tokenizer.vocab_size,
      fingerprint=tokenizer.fingerprint,
      losses=list(tokenizer.losses),
    )
  return tokenizer


def publish_tokenizer(
  out: str | os.PathLike[str],
  model: bytes,
  *,
  template: _template.ChatTemplate | None = None,
  info: dict[str, Any] | None = None,
) -> _sentencepiece.SentencePieceTokenizer:
  """Publishes a model that we trained and its template, kind 'tokenizer'."""
  template = template or _template.ChatTemplate()
  tokenizer = _sentencepiece.SentencePieceTokenizer(model, template)
  with storage.publish(os.fspath(out), kind=KIND) as publication:
    (publication.dir / _folder.MODEL).write_bytes(model)
    _write_json(publication.dir / TEMPLATE_NAME, template.to_json())
    publication.info.update(info or {})
    publication.info.update(
      vocab_size=tokenizer.vocab_size, fingerprint=tokenizer.fingerprint
    )
  return tokenizer


def _write_json(path: pathlib.Path, value: Any) -> None:
  path.write_text(json.dumps(value, indent=2) + '\n', encoding='utf-8')
