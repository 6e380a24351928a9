"""The `control_tokens` gate: text that spells what a chat template says.

Training reads such text as text (control tokens come only from the template),
but a model that has read pages of `<|im_start|>` has learnt to write it.
"""

import re

from data_gen.gates.each import EachGate
from data_gen.gates.protocol import Candidate
from data_gen.gates.protocol import Verdict
from data_gen.gates.views import whole_text

NAME = 'control_tokens'

# `<|im_start|>`, `<｜begin▁of▁sentence｜>`, `<start_of_turn>`, `</s>`,
# `<0x0A>`; HTML such as `<br>` and `ssh <user>@<host>` are text.
_ANGLE = re.compile(
  r'<[|｜][^<>\n]{1,40}[|｜]>|'
  r'</?(?:s|bos|eos|pad|unk|mask|sep|cls|think|thinking|scratchpad|reasoning|'
  r'start_of_turn|end_of_turn|start_of_image|end_of_image|'
  r'start_header_id|end_header_id|eot|eot_id|eom_id|endoftext|im_start|im_end|'
  r'tool_call|tool_response|tool_use|function_calls?|antml:\w+|document|'
  r'draft|unused\d+|extra_id_\d+|reserved_\w+)(?: [^<>\n]{0,80})?/?>|'
  r'</(?:system|user|assistant|human|answer|response)>|'
  r'<<\s*/?SYS\s*>>|<0x[0-9A-F]{2}>',
  re.IGNORECASE,
)
_SQUARE = re.compile(
  r'\[/?(?:INST|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|SYSTEM_PROMPT|PAD|CLS|'
  r'SEP|MASK|BOS|EOS|UNK|THINK)\]|\[gMASK\]'
)
# Alpaca's template, and the turns of early chat models when both occur.
_HASHES = re.compile(
  r'^#{2,3} ?(?:Instruction|Response|Input)s?:', re.MULTILINE
)
_HUMAN = re.compile(r'^\s*Human: ', re.MULTILINE)
_ASSISTANT = re.compile(r'^\s*Assistant: ', re.MULTILINE)
_THINK = re.compile(r'\s*<think>(?:(?!</?think>).)*</think>', re.DOTALL)


class ControlTokensGate(EachGate):
  """Finds spelled control tokens in documents and in any turn of a chat.

  Args:
    allow_think: Whether an assistant's turn may begin with one closed
      `<think>…</think>`, as the chats with reasoning do.
  """

  def __init__(self, allow_think: bool = False):
    super().__init__(NAME)
    self._allow_think = allow_think

  def judge(self, candidate: Candidate) -> Verdict:
    text = whole_text(candidate)
    if self._allow_think and candidate.messages:
      text = '\n'.join(
        _without_thought(content) if role == 'assistant' else content
        for role, content in candidate.messages
      )
    if '<' in text and (match := _ANGLE.search(text)):
      return self.fail('token', match[0])
    if '[' in text and (match := _SQUARE.search(text)):
      return self.fail('token', match[0])
    if '##' in text and (match := _HASHES.search(text)):
      return self.fail('template', match[0])
    if 'Human: ' in text and _HUMAN.search(text) and _ASSISTANT.search(text):
      return self.fail('template', 'Human: … Assistant: …')
    return self._passed


def _without_thought(turn: str) -> str:
  """Drops one closed thought at the start; its tags and nothing else.

  The thought itself stays, since it may spell other tokens.
  """
  match = _THINK.match(turn)
  if not match:
    return turn
  inner = match[0].strip()[len('<think>') : -len('</think>')]
  return inner + turn[match.end() :]
