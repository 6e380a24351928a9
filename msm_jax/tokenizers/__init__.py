"""Text to token ids and back: one protocol, chat template with role spans.

Control tokens come only from the template. `encode` never yields a control id,
whatever the text spells, so a document that contains `<|user|>` is text.

Three kinds are behind the protocol: SentencePiece models that we train, and
`tokenizer.json` and SentencePiece `.model` files that others trained.
"""

from msm_jax.tokenizers._errors import ChatTemplateError
from msm_jax.tokenizers._errors import TokenizerError
from msm_jax.tokenizers._huggingface import HuggingFaceTokenizer
from msm_jax.tokenizers._loading import import_tokenizer
from msm_jax.tokenizers._loading import is_published
from msm_jax.tokenizers._loading import load_tokenizer
from msm_jax.tokenizers._loading import publish_tokenizer
from msm_jax.tokenizers._protocol import Message
from msm_jax.tokenizers._protocol import RenderedChat
from msm_jax.tokenizers._protocol import Span
from msm_jax.tokenizers._protocol import Tokenizer
from msm_jax.tokenizers._sentencepiece import ForeignSentencePieceTokenizer
from msm_jax.tokenizers._sentencepiece import SentencePieceTokenizer
from msm_jax.tokenizers._spec import BUILT_IN_TEMPLATES
from msm_jax.tokenizers._spec import TokenizerSpec
from msm_jax.tokenizers._template import ChatTemplate
from msm_jax.tokenizers._train import train_sentencepiece

__all__ = [
  'BUILT_IN_TEMPLATES',
  'ChatTemplate',
  'ChatTemplateError',
  'ForeignSentencePieceTokenizer',
  'HuggingFaceTokenizer',
  'Message',
  'RenderedChat',
  'SentencePieceTokenizer',
  'Span',
  'Tokenizer',
  'TokenizerError',
  'TokenizerSpec',
  'import_tokenizer',
  'is_published',
  'load_tokenizer',
  'publish_tokenizer',
  'train_sentencepiece',
]
