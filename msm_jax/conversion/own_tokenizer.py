"""A tokenizer that we trained, as files that `transformers` loads as they are.

What cannot be had there, and is the same for every `tokenizer.json`: text that
spells a control token is that token, and U+2581 in a text becomes a space.
Otherwise ids are the same where there is one best way to cut a text. Of several
equal ones (a unigram model has them in long runs of one character; BPE where
two pairs that overlap make the same piece) each takes its own, so it is tried
out.
"""

import json
from typing import Any

import sentencepiece
import tokenizers as hf_tokenizers
from tokenizers import decoders
from tokenizers import models as hf_models
from tokenizers import normalizers
from tokenizers import processors

from msm_jax import tokenizers
from msm_jax.log import logger

_META_SPACE = '\u2581'


def _pieces(
  model: sentencepiece.SentencePieceProcessor,
) -> list[tuple[str, float]]:
  """Returns every piece with its score, by id."""
  return [
    (model.id_to_piece(i), model.get_score(i))
    for i in range(model.vocab_size())
  ]


def _is_text(model: sentencepiece.SentencePieceProcessor, token: int) -> bool:
  """Whether a piece stands for characters."""
  return not (
    model.is_control(token)
    or model.is_unknown(token)
    or model.is_byte(token)
    or model.is_unused(token)
  )


def _merges(
  model: sentencepiece.SentencePieceProcessor, pieces: list[tuple[str, float]]
) -> list[tuple[str, str]]:
  """Returns the pairs that BPE merges, the first first."""
  scores = {p: s for i, (p, s) in enumerate(pieces) if _is_text(model, i)}
  found = [
    (-score, -cut, piece[:cut], piece[cut:])
    for piece, score in scores.items()
    for cut in range(1, len(piece))
    if piece[:cut] in scores and piece[cut:] in scores
  ]
  return [(left, right) for _, _, left, right in sorted(found)]


def _model(model: sentencepiece.SentencePieceProcessor) -> Any:
  pieces = _pieces(model)
  # Scores of BPE are ranks, those of a unigram model logarithms.
  if all(score == int(score) for _, score in pieces):
    return hf_models.BPE(
      vocab={piece: i for i, (piece, _) in enumerate(pieces)},
      merges=_merges(model, pieces),
      unk_token=model.id_to_piece(model.unk_id()),
      byte_fallback=True,
    )
  return hf_models.Unigram(pieces, unk_id=model.unk_id(), byte_fallback=True)


def _tokenizer(
  model: sentencepiece.SentencePieceProcessor, bos: str
) -> hf_tokenizers.Tokenizer:
  tokenizer = hf_tokenizers.Tokenizer(_model(model))
  tokenizer.normalizer = normalizers.Replace(' ', _META_SPACE)
  tokenizer.decoder = decoders.Sequence(
    [
      decoders.Replace(_META_SPACE, ' '),
      decoders.ByteFallback(),
      decoders.Fuse(),
    ]
  )
  names = [
    model.id_to_piece(i)
    for i in range(model.vocab_size())
    if model.is_control(i) or model.is_unknown(i)
  ]
  tokenizer.add_special_tokens(
    [hf_tokenizers.AddedToken(n, normalized=False, special=True) for n in names]
  )
  # A piece of its own wherever it stands; see `train_sentencepiece`.
  tokenizer.add_tokens(
    [hf_tokenizers.AddedToken('\n', normalized=False, special=False)]
  )
  tokenizer.post_processor = processors.TemplateProcessing(
    single=f'{bos} $A', special_tokens=[(bos, tokenizer.token_to_id(bos))]
  )
  return tokenizer


def chat_template(template: tokenizers.ChatTemplate) -> str:
  """Returns our chat template as a Jinja program."""

  def text(value: str) -> str:
    return '{{ ' + json.dumps(value) + ' }}'

  roles = json.dumps(dict(template.roles))
  return (
    f'{{%- set roles = {roles} -%}}'
    f'{text(template.bos)}'
    '{%- for message in messages -%}'
    '{%- if message.role not in roles -%}'
    "{{ raise_exception('no such role: ' ~ message.role) }}"
    '{%- endif -%}'
    '{{ roles[message.role] }}{{ message.content }}'
    f'{text(template.end_of_turn)}'
    '{%- endfor -%}'
    '{%- if add_generation_prompt -%}'
    f'{text(template.roles["assistant"])}'
    '{%- endif -%}'
  )


def _probes(model: sentencepiece.SentencePieceProcessor) -> list[str]:
  """Texts in which every piece occurs, and runs of every character."""
  pieces = [
    model.id_to_piece(i).replace(_META_SPACE, ' ')
    for i in range(model.vocab_size())
    if _is_text(model, i)
  ]
  lines = [''.join(pieces[i : i + 8]) for i in range(0, len(pieces), 8)]
  runs = [
    piece * n for piece in pieces if len(piece) == 1 for n in (2, 3, 7, 40)
  ]
  return [*pieces, *lines, *runs]


def files(tokenizer: tokenizers.SentencePieceTokenizer) -> dict[str, bytes]:
  """Returns the files of a tokenizer that we trained, for `transformers`.

  Where ids of some text would be others, a warning says of which.
  """
  model = sentencepiece.SentencePieceProcessor(
    model_proto=tokenizer.files['tokenizer.model']
  )
  theirs = _tokenizer(model, tokenizer.template.bos)
  differ = [
    probe
    for probe in _probes(model)
    if theirs.encode(probe, add_special_tokens=False).ids
    != tokenizer.encode(probe)
  ]
  if differ:
    logger.warning(
      'tokenizer.json: %d texts, e.g. %r, have other ids there than here; '
      'their logits will differ',
      len(differ),
      min(differ, key=len),
    )
  name = model.id_to_piece
  config = {
    'tokenizer_class': 'PreTrainedTokenizerFast',
    'bos_token': name(tokenizer.bos_id),
    'eos_token': name(tokenizer.eos_id),
    'pad_token': name(tokenizer.pad_id),
    'unk_token': name(model.unk_id()),
    'clean_up_tokenization_spaces': False,
  }
  return {
    'tokenizer.json': theirs.to_str(pretty=True).encode(),
    'tokenizer_config.json': (json.dumps(config, indent=2) + '\n').encode(),
    'chat_template.jinja': chat_template(tokenizer.template).encode(),
  }
