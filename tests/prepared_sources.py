"""Small corpora, and sources prepared from them, for tests of the data room."""

from collections.abc import Sequence
import json
import pathlib
import random
from typing import Any

from byte_tokenizer import ByteTokenizer

from msm_jax import data


def write_documents(
  path: pathlib.Path, lengths: Sequence[int], *, prefix: str = 'd'
) -> str:
  """Writes one document per length; each is `length` pairs long in bytes."""
  rng = random.Random(f'{prefix}{len(lengths)}')
  rows = []
  for index, length in enumerate(lengths):
    # With bos and eos, n bytes of text give n + 1 pairs (token, next token).
    text = ''.join(rng.choices('abcdefgh \n', k=length - 1))
    rows.append({'id': f'{prefix}{index}', 'text': text})
  return write_jsonl(path, rows)


def write_chats(path: pathlib.Path, n: int, *, answer: int = 10) -> str:
  """Writes `n` conversations whose answers have `answer` bytes."""
  rows = [
    {
      'id': f'c{i}',
      'messages': [
        {'role': 'user', 'content': f'Question {i}?'},
        {'role': 'assistant', 'content': str(i % 10) * answer},
      ],
    }
    for i in range(n)
  ]
  return write_jsonl(path, rows)


def write_jsonl(path: pathlib.Path, rows: Sequence[dict[str, Any]]) -> str:
  path.write_text(
    ''.join(json.dumps(row) + '\n' for row in rows), encoding='utf-8'
  )
  return str(path)


def prepare(
  directory: pathlib.Path,
  name: str,
  path: str,
  *,
  seq_len: int = 64,
  tokenizer: ByteTokenizer | None = None,
  **options: Any,
) -> data.PreparedSource:
  return data.prepare_source(
    [path],
    tokenizer or ByteTokenizer(),
    directory / name,
    seq_len=seq_len,
    **options,
  )
