"""Asks a teacher many things at a time; for tests that kill it.

  python tests/teacher_client.py STORE URL COUNT CONCURRENCY OUT

Writes what it was told, by request, and the session's usage to OUT, as JSON.
"""

import asyncio
import dataclasses
import json
import pathlib
import sys

from data_gen import teachers


def requests(count: int) -> list[teachers.Request]:
  """A third of them are further samples of the same question."""
  return [
    teachers.Request(
      'stand-in',
      (teachers.Message('user', f'Write document {i // 3 * 3}.'),),
      teachers.Sampling(max_tokens=2000),
      sample=i % 3,
      task='document.draft',
    )
    for i in range(count)
  ]


async def main(
  store: str, url: str, count: int, concurrency: int, out: pathlib.Path
) -> None:
  config = teachers.TeacherConfig(
    kind='openai',
    model='stand-in',
    base_url=url,
    api_key_env=None,
    concurrency=concurrency,
    timeout=2.0,
    max_attempts=20,
    backoff=0.02,
    price_per_million_prompt=1.0,
    price_per_million_completion=2.0,
  )
  async with teachers.open_session(config, store) as session:
    answers = await asyncio.gather(*map(session.ask, requests(count)))
    told = [[a.text, a.finish.value] for a in answers]
    usage = dataclasses.asdict(session.usage)
  out.write_text(json.dumps({'told': told, 'usage': usage}))


if __name__ == '__main__':
  store_, url_, count_, concurrency_, out_ = sys.argv[1:]
  asyncio.run(
    main(store_, url_, int(count_), int(concurrency_), pathlib.Path(out_))
  )
