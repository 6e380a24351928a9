"""What can be wrong with a tokenizer."""

from msm_jax import schema


class TokenizerError(schema.ConfigError):
  """A tokenizer that cannot be used; the message says why and what to do."""


class ChatTemplateError(TokenizerError):
  """A chat template that cannot be used, or that refuses a conversation."""
