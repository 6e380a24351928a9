"""`generateContent` as JSON: a request's body, an answer's body.

Fields: https://ai.google.dev/api/generate-content. The interactive interface
and the batch interface have the same.
"""

from collections.abc import Mapping
from typing import Any

from data_gen.teachers.protocol import Answer
from data_gen.teachers.protocol import Finish
from data_gen.teachers.protocol import Request
from data_gen.teachers.protocol import TeacherError

_ROLES = {'user': 'user', 'assistant': 'model'}
_OURS = ('maxOutputTokens', 'temperature', 'topP', 'seed', 'candidateCount')
# Beside `generationConfig`, not in it.
_TOP_LEVEL = ('safetySettings',)

# https://ai.google.dev/api/generate-content#FinishReason
_REFUSALS = frozenset(
  {
    *('SAFETY', 'RECITATION', 'LANGUAGE', 'BLOCKLIST', 'PROHIBITED_CONTENT'),
    *('SPII', 'MODEL_ARMOR', 'IMAGE_SAFETY', 'IMAGE_PROHIBITED_CONTENT'),
  }
)


def body(request: Request) -> dict[str, Any]:
  """Returns the body of a request, without the model.

  The sample index is the seed.

  Raises:
    TeacherError: If `sampling.extra` sets a field that is set here, or a role
      has no place.
  """
  sampling = request.sampling
  for name in sampling.extra:
    if name in _OURS:
      raise TeacherError(
        f'sampling.extra.{name}: this field is not free; use max_tokens, '
        'temperature, top_p and sample of the request',
        retryable=False,
      )
  generation: dict[str, Any] = {
    'maxOutputTokens': sampling.max_tokens,
    'temperature': sampling.temperature,
    'topP': sampling.top_p,
    'seed': request.sample,
  }
  made: dict[str, Any] = {'contents': [], 'generationConfig': generation}
  for name, value in sampling.extra.items():
    (made if name in _TOP_LEVEL else generation)[name] = value
  system = [m.content for m in request.messages if m.role == 'system']
  if system:
    parts = [{'text': text} for text in system]
    made['systemInstruction'] = {'parts': parts}
  for message in request.messages:
    if message.role == 'system':
      continue
    if message.role not in _ROLES:
      raise TeacherError(
        f'role {message.role!r}, expected system, user or assistant',
        retryable=False,
      )
    made['contents'].append(
      {'role': _ROLES[message.role], 'parts': [{'text': message.content}]}
    )
  return made


def answer(response: Any) -> Answer:
  """Reads the body of an answer.

  Raises:
    TeacherError: If it is none, or the model failed to give one.
  """
  if not isinstance(response, Mapping):
    raise _malformed('the body', response)
  candidates, usage = response.get('candidates'), response.get('usageMetadata')
  if not candidates and (response.get('promptFeedback') or {}).get(
    'blockReason'
  ):
    # The prompt itself was refused, and perhaps not even counted.
    return Answer('', Finish.REFUSAL, *(_usage(usage) if usage else (0, 0)))
  prompt, completion, thoughts = _usage(usage)
  if not candidates:
    raise _malformed('candidates', candidates)
  candidate = candidates[0]
  if not isinstance(candidate, Mapping):
    raise _malformed('candidates[0]', candidate)
  text, reasoning = _text(candidate.get('content') or {})
  finish = _finish(candidate.get('finishReason'), text)
  return Answer(text, finish, prompt, completion, thoughts, reasoning)


def _finish(reason: Any, text: str) -> Finish:
  if reason in _REFUSALS:
    return Finish.REFUSAL
  if reason not in ('STOP', 'MAX_TOKENS'):
    # E.g. OTHER or MALFORMED_RESPONSE: the next draw may be better.
    raise _malformed('candidates[0].finishReason', reason)
  if not text.strip():
    # With MAX_TOKENS, the thoughts ate the budget.
    return Finish.EMPTY
  return Finish.STOP if reason == 'STOP' else Finish.LENGTH


def _text(content: Any) -> tuple[str, str]:
  """Returns text and thoughts."""
  parts = content.get('parts') if isinstance(content, Mapping) else None
  if parts is None:
    return '', ''
  if not isinstance(parts, list) or not all(
    isinstance(p, Mapping) for p in parts
  ):
    raise _malformed('candidates[0].content.parts', parts)
  said = [p.get('text') or '' for p in parts if not p.get('thought')]
  thought = [p.get('text') or '' for p in parts if p.get('thought')]
  return ''.join(said), ''.join(thought)


def _usage(usage: Any) -> tuple[int, int, int]:
  """Tokens of prompt, of completion with thoughts, and of thoughts."""
  if not isinstance(usage, Mapping) or not isinstance(
    usage.get('promptTokenCount'), int
  ):
    raise _malformed('usageMetadata', usage)
  thoughts = usage.get('thoughtsTokenCount') or 0
  completion = (usage.get('candidatesTokenCount') or 0) + thoughts
  return usage['promptTokenCount'], completion, thoughts


def _malformed(where: str, got: Any) -> TeacherError:
  return TeacherError(
    f'the server answered, but {where} is {str(got)[:200]!r}',
    retryable=True,
    maybe_charged=True,
  )
