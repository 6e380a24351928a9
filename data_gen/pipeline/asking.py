"""Asks until an answer can be used, a bounded number of times.

What can be wrong with an answer has a name, is counted, and is answered by the
same request with the next sample index. All of it is a function of the answers:
asked again after a kill, the same questions come to the same result.
"""

from collections import Counter
from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import enum
import hashlib
from typing import Any
from typing import Generic
from typing import TypeVar

from data_gen.corpus.rows import Step
from data_gen.pipeline import parsing
from data_gen.pipeline import prompting
from data_gen.pipeline.parts import StepConfig
from data_gen.pipeline.tasks import TASKS
from data_gen.teachers.protocol import Answer
from data_gen.teachers.protocol import Finish
from data_gen.teachers.protocol import Request
from data_gen.teachers.session import Session
from data_gen.teachers.session import TeacherFailedError
from msm_jax import log
from msm_jax import storage

T = TypeVar('T')


class Failure(enum.StrEnum):
  """Why an answer could not be used."""

  TRUNCATED = 'truncated'
  """Cut off by its token budget."""
  REFUSED = 'refused'
  """Declined, by the server's word or in its text."""
  EMPTY = 'empty'
  """No text; the reasoning ate the budget."""
  UNREADABLE = 'unreadable'
  """Not of the form that was asked for."""
  FAILED = 'teacher_failed'
  """No answer came, however often it was asked."""


@dataclasses.dataclass(frozen=True)
class Outcome(Generic[T]):
  """What asking came to.

  Attributes:
    value: What was read from the answer; None if it was given up.
    text: The last answer.
    steps: All answers that were paid for, in order; the last one gave the
      value, unless it was given up.
    failures: What was wrong with the answers before.
  """

  value: T | None
  text: str = ''
  steps: tuple[Step, ...] = ()
  failures: tuple[Failure, ...] = ()


@dataclasses.dataclass
class Tally:
  """What was asked for one task, in answers that were paid for.

  Each counts once, however often it was asked for. A function of the answers:
  whether they came from the store is not in it.
  """

  calls: int = 0
  usable: int = 0
  failures: Counter[str] = dataclasses.field(default_factory=Counter)
  given_up: int = 0
  prompt_tokens: int = 0
  completion_tokens: int = 0
  reasoning_tokens: int = 0

  def to_json(self) -> dict[str, Any]:
    described = dataclasses.asdict(self)
    described['failures'] = dict(sorted(self.failures.items()))
    return described


class TeacherGaveUpError(RuntimeError):
  """So many requests failed that going on would only produce gaps."""


class Asker:
  """Asks the drafting and the judging teacher."""

  def __init__(
    self,
    teacher: Session,
    judge: Session,
    *,
    model: str,
    judge_model: str,
    retries: int,
    max_failed: int,
  ):
    """See `PipelineConfig` for the bounds."""
    self._sessions = {False: teacher, True: judge}
    self._models = {False: model, True: judge_model}
    self._retries = retries
    self._max_failed = max_failed
    self._failed = 0
    # Of those that failed for good, how many might have been answered later.
    self.unlucky = 0
    self.tallies: dict[str, Tally] = {}
    self._counted: set[str] = set()

  async def ask(
    self,
    task: str,
    slots: Mapping[str, Any],
    step: StepConfig,
    parse: Callable[[str], T],
    *,
    draw: int = 0,
  ) -> Outcome[T]:
    """Asks until `parse` can read the answer.

    Args:
      task: One of `TASKS`.
      slots: Of that task.
      step: How to sample.
      parse: Raises `UnreadableError` or `RefusedError` for what is no use.
      draw: Another draw of the same question starts at another sample index.

    Raises:
      BudgetExceededError: From the session.
      TeacherGaveUpError: If too many requests of this run failed.
    """
    first = draw * (1 + self._retries)
    request = Request(
      self._models[TASKS[task].judges],
      prompting.messages_of(task, slots),
      step.sampling,
      task=task,
      slots=slots,
    )
    failures: list[Failure] = []
    steps: list[Step] = []
    text = ''
    for sample in range(first, first + 1 + self._retries):
      request = dataclasses.replace(request, sample=sample)
      answer = await self._answer(request)
      if answer is None:
        failures.append(Failure.FAILED)
        break
      value, failure = _read(answer, parse)
      steps.append(self._step(request, answer, failure))
      text = answer.text
      self._count(request, answer, failure)
      if failure is None:
        return Outcome(value, text, tuple(steps), tuple(failures))
      failures.append(failure)
    self._tally(task).given_up += 1
    return Outcome(None, text, tuple(steps), tuple(failures))

  def cost(self, task: str) -> float | None:
    """Returns US dollars of a task's answers, or None without prices.

    From the sums of their tokens, so that the order of arrival, which changes
    how dollars round, changes nothing.
    """
    tally = self._tally(task)
    return self._sessions[TASKS[task].judges].cost(
      Answer('', Finish.STOP, tally.prompt_tokens, tally.completion_tokens)
    )

  def _session(self, request: Request) -> Session:
    return self._sessions[TASKS[request.task].judges]

  async def _answer(self, request: Request) -> Answer | None:
    """Returns None where the teacher failed twice."""
    for again in (True, False):
      try:
        return await self._session(request).ask(request)
      except TeacherFailedError as e:
        if again and e.error.retryable:
          continue
        self._give_up(request, e)
        break
    return None

  def _give_up(self, request: Request, error: TeacherFailedError) -> None:
    tally = self._tally(request.task)
    tally.calls += 1
    tally.failures[Failure.FAILED] += 1
    self._failed += 1
    self.unlucky += error.error.retryable
    if self._failed > self._max_failed:
      raise TeacherGaveUpError(
        f'{self._failed} requests failed for good (config.max_failed = '
        f'{self._max_failed}); what was answered is stored, so mend the cause '
        f'and run the same command again. The last one: {error}'
      ) from error
    log.logger.warning('%s', error)

  def _tally(self, task: str) -> Tally:
    return self.tallies.setdefault(task, Tally())

  def _count(
    self, request: Request, answer: Answer, failure: Failure | None
  ) -> None:
    # The same text may be judged twice, but its verdict is paid for once.
    if request.key in self._counted:
      return
    self._counted.add(request.key)
    tally = self._tally(request.task)
    tally.calls += 1
    tally.prompt_tokens += answer.prompt_tokens
    tally.completion_tokens += answer.completion_tokens
    tally.reasoning_tokens += answer.reasoning_tokens
    if failure is None:
      tally.usable += 1
    else:
      tally.failures[failure] += 1

  def _step(
    self, request: Request, answer: Answer, failure: Failure | None
  ) -> Step:
    messages = [[m.role, m.content] for m in request.messages]
    sampling = {
      **dataclasses.asdict(request.sampling),
      'extra': dict(request.sampling.extra),
    }
    return Step(
      task=request.task,
      key=request.key,
      prompt_sha256=_sha256(storage.canonical_json(messages)),
      model=request.model,
      sampling=storage.canonical_json(sampling),
      sample=request.sample,
      prompt_tokens=answer.prompt_tokens,
      completion_tokens=answer.completion_tokens,
      cost_usd=self._session(request).cost(answer),
      text_sha256=_sha256(answer.text),
      failure='' if failure is None else failure.value,
    )


def _sha256(text: str) -> str:
  return hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()


def _read(
  answer: Answer, parse: Callable[[str], T]
) -> tuple[T | None, Failure | None]:
  """Returns what the answer says, or what is wrong with it."""
  if answer.finish is Finish.REFUSAL:
    return None, Failure.REFUSED
  if answer.finish is Finish.EMPTY or not answer.text.strip():
    return None, Failure.EMPTY
  if answer.finish is Finish.LENGTH:
    return None, Failure.TRUNCATED
  try:
    return parse(answer.text), None
  except parsing.RefusedError:
    return None, Failure.REFUSED
  except parsing.UnreadableError:
    return None, Failure.UNREADABLE
