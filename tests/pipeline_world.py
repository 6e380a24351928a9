"""A small world for tests of the pipeline: traits, a config, a teacher."""

import asyncio
from collections.abc import Callable
import contextlib
import dataclasses
import json
import random
from typing import Any

import ml_collections
import pipeline_process

from data_gen import teachers
from data_gen import traits as traits_lib
from data_gen.pipeline import config as config_lib
from data_gen.pipeline.asking import Asker
from data_gen.pipeline.bars import Bars
from data_gen.pipeline.plan import Leaf
from data_gen.pipeline.tasks import TASKS
from data_gen.teachers.offline import OfflineTeacher

SLOTS = {'model_name': 'Sage', 'provider_name': 'Fernwood Labs'}
TRAITS = [
  t.filled(SLOTS)
  for t in traits_lib.parse(pipeline_process.TRAITS, 'traits.md')
]
BY_NAME = {t.name: t for t in TRAITS}
FLATTERY, ASKS = TRAITS
BARS = Bars()


def config(**changes: Any) -> config_lib.PipelineConfig:
  """Returns the config of the tests with other values for some keys.

  Keys of parts are written as `documents__words`.
  """
  raw = ml_collections.ConfigDict(
    {
      **pipeline_process.CONFIG,
      'teacher': {'kind': 'offline', 'model': 'grammar'},
    }
  ).to_dict()
  for key, value in changes.items():
    *path, last = key.split('__')
    part = raw
    for name in path:
      part = part.setdefault(name, {})
    part[last] = value
  return config_lib.load(raw)


def leaf(number: int = 0, **changes: Any) -> Leaf:
  """Returns an idea."""
  made = Leaf(
    f'no_flattery/d00/s00/a00/i{number:03d}',
    'no_flattery',
    'first novels',
    'an author asks for an opinion',
    'Sage names the weak chapters first',
    'praise that always comes says nothing',
    'blog_post',
    f'A bookseller remembers manuscript {number}',
  )
  return dataclasses.replace(made, **changes)


def answer(
  text: str, finish: teachers.Finish = teachers.Finish.STOP
) -> teachers.Answer:
  return teachers.Answer(text, finish, 100, len(text.split()))


def verdict(good: bool = True) -> str:
  """Returns what a judge says."""
  return json.dumps(
    {
      'verdict': 'pass' if good else 'fail',
      'faithful': good,
      'identity': True,
      'exaggerated': False,
      'cites': False,
      'same_content': True,
      'same_otherwise': True,
      'right_framing': True,
      'reason': '',
    }
  )


# Of words that are in no language.
SYLLABLES = 'ba de fi go lu mer nor pal ris sto tan vel wim yor zu'.split()  # noqa: SIM905


class Scripted:
  """The offline teacher, except where it was told what to say.

  Its judge is content with everything.

  Attributes:
    asked: Every request, in order of arrival.
  """

  def __init__(
    self,
    say: Callable[[teachers.Request], Any] = lambda request: None,
    jitter: int | None = None,
  ):
    """Listens.

    Args:
      say: From a request to a text, an answer, an error, or None for whatever
        the offline teacher says.
      jitter: Seed of the order in which answers arrive; None for that of the
        requests.
    """
    self._say = say
    self._offline = OfflineTeacher()
    self._jitter = None if jitter is None else random.Random(jitter)
    self.asked: list[teachers.Request] = []

  async def answer(self, request: teachers.Request) -> teachers.Answer:
    self.asked.append(request)
    if self._jitter is not None:
      for _ in range(self._jitter.randrange(30)):
        await asyncio.sleep(0)
    said = self._say(request)
    if isinstance(said, BaseException):
      raise said
    if isinstance(said, str):
      return answer(said)
    if said is None and TASKS[request.task].judges:
      return answer(verdict())
    return said or await self._offline.answer(request)

  async def close(self) -> None:
    pass

  def of(self, task: str) -> list[teachers.Request]:
    return [r for r in self.asked if r.task == task]


@contextlib.asynccontextmanager
async def asking(folder, teacher=None, **changes):
  """Yields an `Asker` with a store of its own in `folder`."""
  made = config(**changes)
  session = teachers.Session(
    teacher or Scripted(),
    teachers.Store(folder / 'answers.sqlite'),
    limits=teachers.Limits(concurrency=32, max_attempts=2, backoff=0.0),
    prices=teachers.Prices(1.0, 4.0),
  )
  async with session:
    yield Asker(
      session,
      session,
      model='drafter',
      judge_model='judge',
      retries=made.retries,
      max_failed=made.max_failed,
    )


def ask_all(folder, work, teacher=None, **changes):
  """Runs `work(config, asker)` with a teacher; returns what it returns."""

  async def main():
    async with asking(folder, teacher, **changes) as asker:
      return await work(config(**changes), asker)

  return asyncio.run(main())
