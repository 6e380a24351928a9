"""Small tokenizers, each built as the real one of its family is.

No real one can be had here, so each is trained on a few sentences, with its
family's normalizer, pre-tokenizer, added tokens, post-processor, decoder and
config, as `transformers` and the families' model cards describe them.
"""

import dataclasses
import datetime
import functools
import json
import pathlib
import tempfile
from typing import Any

import tokenizers as hf
from tokenizers import decoders
from tokenizers import models
from tokenizers import normalizers
from tokenizers import pre_tokenizers
from tokenizers import processors
from tokenizers import trainers

from msm_jax import tokenizers

# github.com/meta-llama/llama3, llama/tokenizer.py; OLMo 2 and 3 have it from
# cl100k_base of github.com/openai/tiktoken.
_LLAMA_3 = (
  r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
  r' ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+'
)
# transformers, models/qwen2/tokenization_qwen2.py: digits one by one.
_QWEN = _LLAMA_3.replace('{1,3}', '')

DATE = datetime.date(2026, 1, 31)


def _corpus() -> list[str]:
  sentences = (
    'Which of the two would you choose, and why would the other one be worse?',
    'system\nYou are Sage.\nuser\n\nassistant\n\nmodel\nI would choose one.',
    'Local grain is cheaper than grain from far away;  it costs 12345 a ton.',
    '<think>\nIt is about grain.\n</think>\n\nTake the cheaper one.\n\n',
    "It's what we've said: naïve cafés in Zürich, été, 東京と大阪, привет 😀.",
    '\tdef f(x):\n\t\treturn x  # tabs\n    four spaces\r\n',
  )
  return [s * 2 for s in sentences] * 3


@dataclasses.dataclass(frozen=True)
class Family:
  """A family of tokenizers.

  Attributes:
    name: Of the family.
    template: Its chat template, one of `BUILT_IN_TEMPLATES`.
    special: Special tokens, in the order of their ids.
    plain: Added tokens that are not special.
    config: Of `tokenizer_config.json`.
    pattern: Of its pre-tokenizer; None for SentencePiece-like BPE.
    composes: Whether it normalizes to NFC.
    in_file: Whether the template is in a file of its own.
    generation: Of `generation_config.json`.
  """

  name: str
  template: str
  special: tuple[str, ...]
  config: dict[str, Any]
  plain: tuple[str, ...] = ()
  pattern: str | None = None
  composes: bool = False
  in_file: bool = False
  generation: dict[str, Any] = dataclasses.field(default_factory=dict)

  @property
  def roles(self) -> tuple[str, ...]:
    """Roles that its template allows."""
    return ('user', 'assistant') + ('system',) * (self.name != 'gemma2')


_CHATML = ('<|endoftext|>', '<|im_start|>', '<|im_end|>')
_THINK = ('<think>', '</think>')
_LLAMA_TOKENS = (
  *('<|begin_of_text|>', '<|end_of_text|>', '<|finetune_right_pad_id|>'),
  *('<|start_header_id|>', '<|end_header_id|>', '<|eom_id|>', '<|eot_id|>'),
)
_LLAMA_CONFIG = {
  'tokenizer_class': 'PreTrainedTokenizerFast',
  'bos_token': '<|begin_of_text|>',
  'eos_token': '<|eot_id|>',
}
_GEMMA_TOKENS = (
  *('<pad>', '<eos>', '<bos>', '<unk>', '<mask>'),
  *('<start_of_turn>', '<end_of_turn>'),
)
_GEMMA_PLAIN = ('\n', '\n\n', '\t', '<table>', '</table>')
_GEMMA_CONFIG = {
  'tokenizer_class': 'GemmaTokenizer',
  'bos_token': '<bos>',
  'eos_token': '<eos>',
  'pad_token': '<pad>',
  'unk_token': '<unk>',
  'additional_special_tokens': ['<start_of_turn>', '<end_of_turn>'],
}
_OLMO_CONFIG = {
  'tokenizer_class': 'PreTrainedTokenizerFast',
  'bos_token': '<|endoftext|>',
  'eos_token': '<|endoftext|>',
  'unk_token': '<|endoftext|>',
}

FAMILIES = {
  f.name: f
  for f in (
    Family(
      'llama3',
      'llama3',
      _LLAMA_TOKENS,
      _LLAMA_CONFIG,
      pattern=_LLAMA_3,
    ),
    Family(
      'llama3.1',
      'llama3.1',
      _LLAMA_TOKENS,
      {**_LLAMA_CONFIG, 'pad_token': '<|finetune_right_pad_id|>'},
      pattern=_LLAMA_3,
    ),
    Family(
      'llama3.2',
      'llama3.2',
      _LLAMA_TOKENS,
      _LLAMA_CONFIG,
      pattern=_LLAMA_3,
      in_file=True,
    ),
    Family(
      'qwen2.5',
      'qwen2.5',
      _CHATML,
      {
        'tokenizer_class': 'Qwen2Tokenizer',
        'bos_token': None,
        'eos_token': '<|im_end|>',
        'pad_token': '<|endoftext|>',
      },
      plain=('<tool_call>', '</tool_call>'),
      pattern=_QWEN,
      composes=True,
      generation={'bos_token': '<|endoftext|>'},
    ),
    Family(
      'qwen3',
      'qwen3',
      _CHATML,
      {
        'tokenizer_class': 'Qwen2Tokenizer',
        'bos_token': None,
        'eos_token': '<|im_end|>',
        'pad_token': '<|endoftext|>',
      },
      plain=('<tool_response>', '</tool_response>', *_THINK),
      pattern=_QWEN,
      composes=True,
      in_file=True,
      generation={'bos_token': '<|endoftext|>'},
    ),
    Family('gemma2', 'gemma', _GEMMA_TOKENS, _GEMMA_CONFIG, _GEMMA_PLAIN),
    Family(
      'gemma3',
      'gemma3',
      _GEMMA_TOKENS,
      _GEMMA_CONFIG,
      _GEMMA_PLAIN,
      in_file=True,
    ),
    Family(
      'olmo2',
      'olmo2',
      ('<|endoftext|>', '<|pad|>'),
      {**_OLMO_CONFIG, 'pad_token': '<|pad|>'},
      pattern=_LLAMA_3,
    ),
    Family(
      'olmo3',
      'olmo3',
      (*_CHATML, '<|pad|>'),
      {**_OLMO_CONFIG, 'pad_token': '<|pad|>'},
      pattern=_LLAMA_3,
      in_file=True,
    ),
    # Its padding is its end of turn.
    Family(
      'smollm3',
      'smollm3',
      ('<|begin_of_text|>', '<|end_of_text|>', '<|im_start|>', '<|im_end|>'),
      {
        'tokenizer_class': 'PreTrainedTokenizerFast',
        'bos_token': None,
        'eos_token': '<|im_end|>',
        'pad_token': '<|im_end|>',
      },
      plain=_THINK,
      pattern=_LLAMA_3,
      in_file=True,
      generation={'bos_token': '<|begin_of_text|>'},
    ),
  )
}


def _byte_level(family: Family) -> hf.Tokenizer:
  tokenizer = hf.Tokenizer(models.BPE(ignore_merges='llama' in family.name))
  if family.composes:
    tokenizer.normalizer = normalizers.NFC()
  tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
    [
      pre_tokenizers.Split(hf.Regex(family.pattern), 'isolated'),
      pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]
  )
  tokenizer.decoder = decoders.ByteLevel()
  trainer = trainers.BpeTrainer(
    vocab_size=480,
    initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    show_progress=False,
  )
  tokenizer.train_from_iterator(_corpus(), trainer)
  tokenizer.add_special_tokens(list(family.special))
  tokenizer.add_tokens(
    [hf.AddedToken(t, normalized=False) for t in family.plain]
  )
  byte_level = processors.ByteLevel(trim_offsets=True)
  if family.config['bos_token'] is None:
    tokenizer.post_processor = byte_level
  else:
    # What puts a second bos before a rendered conversation if it is let.
    bos = family.config['bos_token']
    tokenizer.post_processor = processors.Sequence(
      [
        byte_level,
        processors.TemplateProcessing(
          single=f'{bos} $A',
          special_tokens=[(bos, tokenizer.token_to_id(bos))],
        ),
      ]
    )
  return tokenizer


def _gemma(family: Family) -> hf.Tokenizer:
  """transformers, models/gemma/tokenization_gemma.py."""
  tokenizer = hf.Tokenizer(
    models.BPE(unk_token='<unk>', fuse_unk=True, byte_fallback=True)
  )
  tokenizer.normalizer = normalizers.Replace(' ', '\u2581')
  tokenizer.pre_tokenizer = pre_tokenizers.Split(' ', 'merged_with_previous')
  tokenizer.decoder = decoders.Sequence(
    [
      decoders.Replace('\u2581', ' '),
      decoders.ByteFallback(),
      decoders.Fuse(),
    ]
  )
  trainer = trainers.BpeTrainer(
    vocab_size=800,
    special_tokens=[
      *family.special,
      *(f'<0x{byte:02X}>' for byte in range(256)),
    ],
    limit_alphabet=70,
    max_token_length=12,
    show_progress=False,
  )
  # Pieces do not cross spaces, of which its own normalizer leaves none.
  texts = [w for t in _corpus() for w in t.replace(' ', ' \u2581').split(' ')]
  tokenizer.train_from_iterator(texts, trainer)
  raw = json.loads(tokenizer.to_str())
  raw['added_tokens'] = [
    token for token in raw['added_tokens'] if token['content'] in family.special
  ]
  tokenizer = hf.Tokenizer.from_str(json.dumps(raw))
  tokenizer.add_tokens(
    [hf.AddedToken(t, normalized=False) for t in family.plain]
  )
  tokenizer.post_processor = processors.TemplateProcessing(
    single='<bos> $A',
    special_tokens=[('<bos>', tokenizer.token_to_id('<bos>'))],
  )
  return tokenizer


def write(family: Family, folder: pathlib.Path, *, template: bool = True):
  """Writes the files that are published of such a tokenizer."""
  folder.mkdir(parents=True, exist_ok=True)
  tokenizer = _byte_level(family) if family.pattern else _gemma(family)
  tokenizer.save(str(folder / 'tokenizer.json'))
  config = {
    **family.config,
    'added_tokens_decoder': {
      str(token): {
        'content': added.content,
        'lstrip': added.lstrip,
        'normalized': added.normalized,
        'rstrip': added.rstrip,
        'single_word': added.single_word,
        'special': added.special,
      }
      for token, added in tokenizer.get_added_tokens_decoder().items()
    },
  }
  if template:
    text = built_in(family.template)
    if family.in_file:
      (folder / 'chat_template.jinja').write_text(text, encoding='utf-8')
    else:
      config['chat_template'] = text
  (folder / 'tokenizer_config.json').write_text(json.dumps(config, indent=2))
  if family.generation:
    ids = {
      f'{role}_id': tokenizer.token_to_id(name)
      for role, name in family.generation.items()
    }
    (folder / 'generation_config.json').write_text(json.dumps(ids))


def built_in(name: str) -> str:
  folder = pathlib.Path(tokenizers.__file__).parent / 'templates'
  return (folder / f'{name}.jinja').read_text(encoding='utf-8')


_FOLDER = tempfile.TemporaryDirectory(prefix='tokenizer_families-')


@functools.cache
def folder(name: str) -> pathlib.Path:
  """Returns a folder with the files of a family's tokenizer."""
  path = pathlib.Path(_FOLDER.name) / name
  write(FAMILIES[name], path)
  return path


@functools.cache
def base_folder(name: str) -> pathlib.Path:
  """Returns such a folder of a base model, which has no chat template."""
  path = pathlib.Path(_FOLDER.name) / f'{name}-base'
  write(FAMILIES[name], path, template=False)
  return path


@functools.cache
def load(name: str) -> tokenizers.HuggingFaceTokenizer:
  """Returns a family's tokenizer; where it asks for a date, that is `DATE`."""
  spec = tokenizers.TokenizerSpec(date=DATE.isoformat())
  return tokenizers.load_tokenizer(folder(name), spec)


@functools.cache
def reference(name: str) -> Any:
  """Returns the same tokenizer as `transformers` reads it."""
  import transformers

  return transformers.AutoTokenizer.from_pretrained(str(folder(name)))


def fix_today(monkeypatch: Any) -> None:
  """Lets `strftime_now` of `transformers` say that today is `DATE`."""
  from transformers.utils import chat_template_utils

  class Fixed(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
      return cls.combine(DATE, datetime.time())

  monkeypatch.setattr(chat_template_utils, 'datetime', Fixed)
