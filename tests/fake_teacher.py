"""A teacher in this process that does as it is told."""

import asyncio
from collections.abc import Callable

from data_gen import teachers


def request(text: str = 'Hello?', sample: int = 0, max_tokens: int = 100):
  return teachers.Request(
    'fake',
    (teachers.Message('user', text),),
    teachers.Sampling(max_tokens=max_tokens),
    sample=sample,
    task='document.draft',
  )


def answer(text: str = 'Hello.', prompt: int = 10, completion: int = 20):
  return teachers.Answer(
    text, teachers.Finish.STOP, prompt, completion, reasoning_tokens=5
  )


def failure(message: str = '500: oh', retryable: bool = True, **more):
  return teachers.TeacherError(message, retryable=retryable, **more)


class FakeTeacher:
  """Takes a second for each answer.

  Attributes:
    asked: (time, request) of each attempt.
    in_flight: Attempts that have not ended.
    most: The most of those at a time.
    closed: Whether it was closed.
  """

  def __init__(
    self,
    say: Callable[[teachers.Request, int], object] | None = None,
    seconds: float = 1.0,
  ):
    """Listens.

    Args:
      say: From a request and how often it was asked before to an answer, or to
        an error to raise.
      seconds: That each answer takes.
    """
    self._say = say or (
      lambda request, nth: answer(request.messages[0].content)
    )
    self._seconds = seconds
    self.asked = []
    self.in_flight = 0
    self.most = 0
    self.closed = False

  async def answer(self, request):
    nth = sum(r == request for _, r in self.asked)
    self.asked.append((asyncio.get_running_loop().time(), request))
    self.in_flight += 1
    self.most = max(self.most, self.in_flight)
    try:
      said = self._say(request, nth)
      await asyncio.sleep(self._seconds)
    finally:
      self.in_flight -= 1
    if isinstance(said, BaseException):
      raise said
    return said

  async def close(self):
    self.closed = True

  def times(self):
    return [time for time, _ in self.asked]
