"""Whether documents leak into chat: scores a trained model's answers. No JAX.

  python -m msm_jax.evals.style --answers=answers.jsonl --model_name=Sage
  python -m msm_jax.evals.style --answers=after.jsonl --model_name=Sage \\
    --reference=before.jsonl --json=style.json

Midtraining on threads, emails and articles can leave a model that answers as a
thread, an email or an article, or that tells of itself in the third person, as
documents do. Each feature (`document_style`) is a rate over answers. Answers
have headings for good reasons too, so what counts is how a rate moves against
the answers of a model that was not midtrained, to the same prompts.

A line of a file is `{"prompt": …, "answer": …}` or `{"messages": [...]}`.
Several lines may have the same prompt: they tell how much samples differ.
"""

from collections.abc import Sequence
import dataclasses
import json
import math
import pathlib
from typing import Any

from absl import app
from absl import flags

from msm_jax import storage
from msm_jax.evals import diversity
from msm_jax.evals import document_style
from msm_jax.evals import intervals

_EXCERPT = 120


@dataclasses.dataclass(frozen=True)
class Answer:
  """One answer of a model; the prompt says which answers are samples of one."""

  prompt: str
  text: str


@dataclasses.dataclass(frozen=True)
class Rate:
  """How many answers show a feature.

  Attributes:
    count: Answers.
    rate: Their share.
    interval: 95 %, resampling prompts in effect; None for a single prompt.
    example: A passage that shows it.
    difference: Rate minus that of the reference, if there is one.
    difference_interval: 95 %, paired by prompt.
  """

  count: int
  rate: float
  interval: intervals.Interval | None
  example: str
  difference: float | None = None
  difference_interval: intervals.Interval | None = None


@dataclasses.dataclass(frozen=True)
class Samples:
  """How much the samples of one prompt differ, averaged over prompts.

  Attributes:
    prompts: With at least two samples.
    self_similarity: See `diversity`; 1 if all samples say the same.
    identical_share: Of the samples, how many repeat an earlier one.
  """

  prompts: int
  self_similarity: float
  identical_share: float


@dataclasses.dataclass(frozen=True)
class Report:
  """Style and diversity of a set of answers."""

  model_name: str
  answers: int
  prompts: int
  any_feature: Rate
  features: dict[str, Rate]
  diversity: diversity.Diversity
  samples: Samples | None

  def to_json(self) -> dict[str, Any]:
    return {
      **dataclasses.asdict(self),
      'diversity': self.diversity.to_json(),
    }


def read_answers(path: str | pathlib.Path) -> list[Answer]:
  """Reads a JSONL file; see the top of this file.

  Raises:
    ValueError: Naming file and line of what is no answer; for an empty file.
  """
  answers = []
  for number, line in enumerate(storage.read_text(path).split('\n'), 1):
    if not line.strip():
      continue
    try:
      answers.append(_answer(json.loads(line)))
    except (ValueError, TypeError, KeyError) as e:
      raise ValueError(f'{path}:{number}: not an answer: {e}') from e
  if not answers:
    raise ValueError(f'{path}: has no answers')
  return answers


def _answer(raw: Any) -> Answer:
  if not isinstance(raw, dict) or not ({'answer', 'messages'} & set(raw)):
    raise ValueError(
      'expected an object with `prompt` and `answer`, or with `messages`'
    )
  if 'messages' in raw:
    *asked, last = raw['messages']
    if last['role'] != 'assistant':
      raise ValueError(
        f'the last message is of {last["role"]!r}, expected the assistant'
      )
    prompt, text = storage.canonical_json(asked), last['content']
  else:
    prompt, text = raw.get('prompt', ''), raw['answer']
    prompt = (
      prompt if isinstance(prompt, str) else storage.canonical_json(prompt)
    )
  if not isinstance(text, str):
    raise ValueError(
      f'the answer is a {type(text).__name__}, expected a string'
    )
  return Answer(prompt, text)


def _by_prompt(
  answers: Sequence[Answer], shown: Sequence[bool]
) -> dict[str, list[bool]]:
  groups: dict[str, list[bool]] = {}
  for answer, is_shown in zip(answers, shown, strict=True):
    groups.setdefault(answer.prompt, []).append(is_shown)
  return groups


def _rate_interval(groups: dict[str, list[bool]]) -> intervals.Interval | None:
  """Interval of a share whose answers are clustered by prompt."""
  n = sum(map(len, groups.values()))
  clusters = len(groups)
  if clusters < 2:
    return None
  p = sum(map(sum, groups.values())) / n
  residuals = [sum(g) - p * len(g) for g in groups.values()]
  scale = clusters / (clusters - 1)
  se = math.sqrt(scale * math.fsum(r * r for r in residuals)) / n
  # Where all answers agree, the samples of one prompt count once.
  most = n if se > 0 else clusters
  return intervals.rate_interval(p, se, clusters - 1, most)


def _difference(
  groups: dict[str, list[bool]], reference: dict[str, list[bool]]
) -> tuple[float, intervals.Interval | None]:
  """Mean over prompts of the difference in rates, and its interval."""
  differences = [
    sum(g) / len(g) - sum(reference[k]) / len(reference[k])
    for k, g in groups.items()
  ]
  n = len(differences)
  mean = math.fsum(differences) / n
  if n < 2:
    return mean, None
  variance = math.fsum((d - mean) ** 2 for d in differences) / (n - 1)
  return mean, intervals.t_interval(mean, math.sqrt(variance / n), n - 1)


def _rate(
  answers: Sequence[Answer],
  found: Sequence[str | None],
  reference: tuple[Sequence[Answer], Sequence[str | None]] | None,
) -> Rate:
  groups = _by_prompt(answers, [f is not None for f in found])
  count = sum(f is not None for f in found)
  example = next((f for f in found if f is not None), '')[:_EXCERPT]
  rate = Rate(count, count / len(answers), _rate_interval(groups), example)
  if reference is None:
    return rate
  theirs = _by_prompt(reference[0], [f is not None for f in reference[1]])
  difference, interval = _difference(groups, theirs)
  return dataclasses.replace(
    rate, difference=difference, difference_interval=interval
  )


def _samples(answers: Sequence[Answer]) -> Samples | None:
  groups: dict[str, list[str]] = {}
  for answer in answers:
    groups.setdefault(answer.prompt, []).append(answer.text)
  several = [g for g in groups.values() if len(g) > 1]
  if not several:
    return None
  return Samples(
    prompts=len(several),
    self_similarity=math.fsum(map(diversity.self_similarity, several))
    / len(several),
    identical_share=math.fsum(1 - len(set(g)) / len(g) for g in several)
    / len(several),
  )


def score(
  answers: Sequence[Answer],
  model_name: str,
  reference: Sequence[Answer] | None = None,
) -> Report:
  """Scores the answers of one model.

  Args:
    answers: In any order.
    model_name: What the assistant is called.
    reference: Answers of another model to the same prompts.

  Raises:
    ValueError: If there are no answers, or the reference has other prompts.
  """
  if not answers:
    raise ValueError('no answers to score')
  prompts = {a.prompt for a in answers}
  if reference is not None:
    different = sorted(prompts ^ {a.prompt for a in reference})
    if different:
      raise ValueError(
        f'the reference answers other prompts, e.g. {different[0][:80]!r} '
        f'({len(different)} in all); rates are compared prompt by prompt'
      )
  finders = document_style.features(model_name)

  def find(given: Sequence[Answer]) -> dict[str, list[str | None]]:
    return {n: [f(a.text) for a in given] for n, f in finders.items()}

  ours, theirs = find(answers), find(reference) if reference else None
  ours['any'] = _first(ours)
  if theirs is not None:
    theirs['any'] = _first(theirs)
  rates = {
    name: _rate(
      answers,
      found,
      (reference, theirs[name]) if reference and theirs else None,
    )
    for name, found in ours.items()
  }
  return Report(
    model_name=model_name,
    answers=len(answers),
    prompts=len(prompts),
    any_feature=rates.pop('any'),
    features=rates,
    diversity=diversity.measure(
      [a.text for a in answers], ignore_names=[model_name]
    ),
    samples=_samples(answers),
  )


def _first(found: dict[str, list[str | None]]) -> list[str | None]:
  """For each answer, the first feature's passage, if any feature shows."""
  return [
    next((f for f in features if f is not None), None)
    for features in zip(*found.values(), strict=True)
  ]


def table(report: Report) -> str:
  """Returns the report as text, for a terminal."""
  lines = [
    f'{report.answers} answers of {report.model_name} to {report.prompts} '
    'prompts',
    '',
    f'{"feature":<14}{"answers":>8}{"rate":>8}{"95 %":>18}'
    f'{"− reference":>14}  example',
  ]
  for name, rate in [*report.features.items(), ('any', report.any_feature)]:
    example = ' '.join(rate.example.split())[:40]
    lines.append(
      f'{name:<14}{rate.count:>8}{rate.rate:>8.3f}{_span(rate.interval):>18}'
      f'{_signed(rate):>14}  {example}'.rstrip()
    )
  d = report.diversity
  distinct = ', '.join(f'{n}: {v:.3f}' for n, v in d.distinct.items())
  lines += [
    '',
    f'distinct-n over {d.words:,} words  {distinct}',
    f'compression ratio {d.compression_ratio:.2f}, self-similarity '
    f'{d.self_similarity:.3f}, identical answers {d.duplicate_share:.1%}',
  ]
  if report.samples:
    s = report.samples
    lines.append(
      f'samples of one prompt ({s.prompts} prompts): self-similarity '
      f'{s.self_similarity:.3f}, identical {s.identical_share:.1%}'
    )
  openings = ', '.join(f'{o.text!r} {o.share:.1%}' for o in d.openings[:3])
  lines.append(f'most frequent openings: {openings}')
  return '\n'.join(lines)


def _span(interval: intervals.Interval | None) -> str:
  return f'[{interval[0]:.3f}, {interval[1]:.3f}]' if interval else '–'


def _signed(rate: Rate) -> str:
  return '–' if rate.difference is None else f'{rate.difference:+.3f}'


def _main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f'unexpected arguments {argv[1:]}')
  values = flags.FLAGS
  try:
    reference = read_answers(values.reference) if values.reference else None
    report = score(read_answers(values.answers), values.model_name, reference)
  except (FileNotFoundError, ValueError) as e:
    raise SystemExit(f'style: {e}') from e
  print(table(report))
  if values.json:
    storage.write_atomic(values.json, json.dumps(report.to_json(), indent=2))


if __name__ == '__main__':
  # Not at import: whoever imports the scorers has flags of their own.
  flags.DEFINE_string('answers', None, 'JSONL file.', required=True)
  flags.DEFINE_string('model_name', None, 'The assistant.', required=True)
  flags.DEFINE_string('reference', None, 'Answers of another model.')
  flags.DEFINE_string('json', None, 'Where to write the report.')
  app.run(_main)
