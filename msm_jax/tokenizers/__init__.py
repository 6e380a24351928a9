"""Text to token ids and back: one protocol, chat template with role spans.

Control tokens come only from the template. `encode` never yields a control id,
whatever the text spells, so a document that contains `<|user|>` is text.
"""

from msm_jax.tokenizers._protocol import Message
from msm_jax.tokenizers._protocol import RenderedChat
from msm_jax.tokenizers._protocol import Span
from msm_jax.tokenizers._protocol import Tokenizer
from msm_jax.tokenizers._sentencepiece import load_tokenizer
from msm_jax.tokenizers._sentencepiece import SentencePieceTokenizer
from msm_jax.tokenizers._template import ChatTemplate
from msm_jax.tokenizers._train import publish_tokenizer
from msm_jax.tokenizers._train import train_sentencepiece

__all__ = [
  'ChatTemplate',
  'Message',
  'RenderedChat',
  'SentencePieceTokenizer',
  'Span',
  'Tokenizer',
  'load_tokenizer',
  'publish_tokenizer',
  'train_sentencepiece',
]
