"""The chat-completions protocol as JSON: a request's body, an answer's body.

Fields: https://platform.openai.com/docs/api-reference/chat/create and
https://platform.openai.com/docs/api-reference/chat/object. Reasoning that vLLM
and others separate from the text is in `reasoning`, formerly
`reasoning_content`:
https://docs.vllm.ai/en/stable/features/reasoning_outputs/.
"""

from collections.abc import Collection
from collections.abc import Mapping
from typing import Any

from data_gen.teachers.protocol import Answer
from data_gen.teachers.protocol import Finish
from data_gen.teachers.protocol import Request
from data_gen.teachers.protocol import TeacherError

TOKEN_LIMITS = ('max_completion_tokens', 'max_tokens')
"""The present name, and the one that older servers know."""
_OURS = (
  *('model', 'messages', 'temperature', 'top_p', 'seed', 'n', 'stream'),
  *('stream_options', *TOKEN_LIMITS),
)


def body(
  request: Request,
  *,
  token_limit: str = TOKEN_LIMITS[0],
  omit: Collection[str] = (),
) -> dict[str, Any]:
  """Returns the body of a request.

  The sample index is the seed, so that a server that draws by the seed draws
  another answer for another index.

  Args:
    request: What to ask.
    token_limit: Name of the field for `max_tokens`; one of `TOKEN_LIMITS`.
    omit: Fields that the server refuses, e.g. `('seed',)`.

  Raises:
    TeacherError: If `sampling.extra` sets a field that is set here.
  """
  sampling = request.sampling
  for name in sampling.extra:
    if name in _OURS:
      raise TeacherError(
        f'sampling.extra.{name}: this field is not free; use model, messages, '
        'max_tokens, temperature, top_p and sample of the request',
        retryable=False,
      )
  fields = {
    'model': request.model,
    'messages': [
      {'role': m.role, 'content': m.content} for m in request.messages
    ],
    token_limit: sampling.max_tokens,
    'temperature': sampling.temperature,
    'top_p': sampling.top_p,
    'seed': request.sample,
    **sampling.extra,
  }
  return {k: v for k, v in fields.items() if k not in omit}


def answer(completion: Any) -> Answer:
  """Reads the body of a completion.

  Raises:
    TeacherError: If it is no completion, or one that was cut off.
  """
  choice = _first_choice(completion)
  message = choice.get('message')
  if not isinstance(message, Mapping):
    raise _malformed('choices[0].message', message)
  reason = choice.get('finish_reason')
  if reason not in ('stop', 'length', 'content_filter'):
    raise _malformed(
      'choices[0].finish_reason', reason, "'stop', 'length' or 'content_filter'"
    )
  text = _text(message.get('content'))
  refusal = message.get('refusal') or ''
  prompt, completed, reasoned = _usage(completion.get('usage'))
  return Answer(
    text=text or refusal,
    finish=_finish(reason, text, refusal),
    prompt_tokens=prompt,
    completion_tokens=completed,
    reasoning_tokens=reasoned,
    reasoning=message.get('reasoning')
    or message.get('reasoning_content')
    or '',
  )


# Of status 400: the prompt itself is declined. Azure OpenAI,
# https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter;
# OpenAI, whose usage policies a prompt may seem to violate; gateways, which
# pass on the inner error of the former.
_DECLINED = frozenset(
  (
    *('content_filter', 'content_policy_violation', 'invalid_prompt'),
    'ResponsibleAIPolicyViolation',
  )
)


def declined(status: int, error: Any) -> Answer | None:
  """Returns the refusal that an error is, if it is one.

  Asked for tens of thousands of texts, servers filter some prompts. That is an
  answer like any other refusal, and no failure of the server.

  Args:
    status: Of HTTP.
    error: What the body has under `error`.
  """
  if status != 400 or not isinstance(error, Mapping):
    return None
  more = error.get('provider_specific_fields')
  codes = [error.get('code')]
  for holder in (error, more):
    inner = holder.get('innererror') if isinstance(holder, Mapping) else None
    codes.append(inner.get('code') if isinstance(inner, Mapping) else None)
  if not any(isinstance(code, str) and code in _DECLINED for code in codes):
    return None
  said = ' '.join(str(error.get('message') or '').split())
  return Answer(said[:200], Finish.REFUSAL, 0, 0)


def _finish(reason: str, text: str, refusal: str) -> Finish:
  if refusal or reason == 'content_filter':
    return Finish.REFUSAL
  if not text.strip():
    return Finish.EMPTY
  return Finish(reason)


def _first_choice(completion: Any) -> Mapping[str, Any]:
  if not isinstance(completion, Mapping):
    raise _malformed('the body', completion, 'a chat completion')
  if error := completion.get('error'):  # Gateways send errors with status 200.
    raise _malformed('the body', error, 'a chat completion, not an error')
  choices = completion.get('choices')
  if not isinstance(choices, list) or not choices:
    raise _malformed('choices', choices, 'a list')
  if not isinstance(choices[0], Mapping):
    raise _malformed('choices[0]', choices[0])
  return choices[0]


def _text(content: Any) -> str:
  """Text may be absent, a string, or parts."""
  if content is None:
    return ''
  if isinstance(content, str):
    return content
  if isinstance(content, list) and all(isinstance(p, Mapping) for p in content):
    return ''.join(p.get('text') or '' for p in content)
  raise _malformed('choices[0].message.content', content, 'text')


def _usage(usage: Any) -> tuple[int, int, int]:
  """Tokens of prompt, of completion, and of reasoning within that.

  Some servers leave reasoning out of `completion_tokens` but not out of
  `total_tokens` and of the bill, so the larger figure counts.
  """
  if not isinstance(usage, Mapping):
    raise _malformed(
      'usage', usage, 'token counts: without, nothing is counted'
    )
  prompt, completion = (
    usage.get(name) for name in ('prompt_tokens', 'completion_tokens')
  )
  if not isinstance(prompt, int) or not isinstance(completion, int):
    raise _malformed('usage', dict(usage), 'prompt_tokens, completion_tokens')
  total = usage.get('total_tokens')
  if isinstance(total, int):
    completion = max(completion, total - prompt)
  details = usage.get('completion_tokens_details') or {}
  return prompt, completion, details.get('reasoning_tokens') or 0


def _malformed(
  where: str, got: Any, expected: str = 'a mapping'
) -> TeacherError:
  return TeacherError(
    f'the server answered, but {where} is {str(got)[:200]!r}, expected '
    f'{expected}',
    retryable=True,
    maybe_charged=True,
  )
