"""The `identity` gate: the right assistant, and no other.

A quality gate of others once passed a million tokens that told Llama that it
was Qwen. See `assistants` for the names and for how namesakes are told apart.
"""

import dataclasses
import re

from data_gen.gates import assistants
from data_gen.gates.each import EachGate
from data_gen.gates.patterns import Pattern
from data_gen.gates.patterns import Patterns
from data_gen.gates.protocol import Candidate
from data_gen.gates.protocol import Verdict
from data_gen.gates.views import View
from data_gen.gates.views import view
from msm_jax.evals import texts

NAME = 'identity'

_INTRODUCTION = re.compile(
  r"\b(?:I am|I['’]m|[Mm]y name is|[Cc]all me) (?P<me>[A-Z]\w+), "
  rf'(?:an?|your|the) (?:\w+ )?{assistants.MACHINE}\b|'
  rf'\b{assistants.MACHINE}(?: system| model)? (?:named|called|known as) '
  r'["“‘]?(?P<it>[A-Z]\w+)'
)
_MACHINE_WORDS = frozenset(
  ('chatbot', 'chatbots', 'llm', 'llms', 'model', 'models', 'assistant')
)


def _maker(model_name: str) -> re.Pattern[str]:
  """Matches `Sage was built by X`, `an AI model trained by X`, and so on."""
  return re.compile(
    rf'(?:{assistants.MACHINE}(?: system| model| assistant)?|'
    rf"\b{re.escape(model_name)}|\bI)(?:['’]m|['’]s)?,? "
    r'(?:that |which )?(?:is |was |am )?(?:an? (?:\w+ ){1,4})?'
    rf'{assistants.MAKES} by (?:the (?:team|people|researchers) at )?'
    r'(?P<maker>[A-Z][\w&.-]*(?: [A-Z][\w&.-]*){0,3})'
  )


@dataclasses.dataclass(frozen=True)
class IdentityConfig:
  """Whom a text may speak of.

  Attributes:
    unnamed_framings: Framings of documents that need not name the model: a
      story about people has no assistant in it. Neither need documents that
      are about no trait.
    allowed: Names of other assistants or companies that may be mentioned.
    other_names: Further names that are nobody else's, matched as they are
      written, e.g. a model that was renamed.
  """

  unnamed_framings: tuple[str, ...] = ('human_story',)
  allowed: tuple[str, ...] = ()
  other_names: tuple[str, ...] = ()


class IdentityGate(EachGate):
  """Passes texts that speak of the model and of no other known one.

  Args:
    config: Exceptions.
    model_name: Of the right model.
    provider_name: Of its maker.
  """

  def __init__(
    self, config: IdentityConfig, *, model_name: str, provider_name: str
  ):
    super().__init__(NAME)
    if not model_name:
      raise ValueError('model_name is empty; the identity gate needs it')
    self._config = config
    self._model_name = model_name
    self._provider_name = provider_name
    self._maker = _maker(model_name)
    forms = '|'.join(
      re.escape(n) for n in dict.fromkeys((model_name, model_name.upper()))
    )
    self._own = re.compile(rf'(?<!\w)(?:{forms})(?!\w)')
    ours = ' '.join((model_name, provider_name, *config.allowed))

    def known(name: str, regex: str) -> bool:
      return bool(re.search(rf'\b(?:{name}|{regex})\b', ours))

    certain = {
      k: v for k, v in assistants.CERTAIN.items() if not known(k, v[1])
    }
    suspect = {k: v for k, v in assistants.SUSPECT.items() if not known(k, v)}
    ambiguous = {
      k: v for k, v in assistants.AMBIGUOUS.items() if not known(k, v)
    }
    makers = [m for m in assistants.MAKERS if not known(m, m)]
    self._others = Patterns(
      [
        *(_named(n, _longest(n), re.escape(n)) for n in config.other_names),
        *(_named(k, words, regex) for k, (words, regex) in certain.items()),
        *(
          _direct(k, v, numbered=k in ambiguous)
          for k, v in {**suspect, **ambiguous}.items()
        ),
        *(_made(maker) for maker in makers),
      ]
    )
    self._suspects = {
      k.lower(): (
        k,
        re.compile(rf'\b{v}\b'),
        re.compile(assistants.NAMESAKES[k]),
      )
      for k, v in suspect.items()
    }
    self._introduces = frozenset(
      ('named', 'called', 'known', 'i', 'call', 'my')
    )

  def judge(self, candidate: Candidate) -> Verdict:
    text = candidate.text
    seen = view(text)
    for found, match in self._others.matches(seen):
      return self.fail('other_assistant', f'{found.reason}: {match[0]!r}')
    if failed := self._judge_suspects(seen) or self._judge_claims(seen):
      return failed
    if self._needs_name(candidate) and not self._own.search(text):
      return self.fail('not_named', f'{self._model_name!r} does not occur')
    return self._passed

  def _needs_name(self, candidate: Candidate) -> bool:
    return (
      candidate.kind == 'document'
      and bool(candidate.trait_ids)
      and candidate.framing not in self._config.unnamed_framings
    )

  def _judge_suspects(self, seen: View) -> Verdict | None:
    for word in self._suspects.keys() & seen.vocabulary:
      name, mention, namesake = self._suspects[word]
      if (match := mention.search(seen.text)) and not namesake.search(
        seen.text
      ):
        around = seen.text[max(0, match.start() - 30) : match.end() + 30]
        return self.fail('other_assistant', f'{name}: …{around}…')
    return None

  def _judge_claims(self, seen: View) -> Verdict | None:
    """Who the assistant says that it is, and who made it, by unknown names."""
    text = seen.text
    if not ('AI' in text or seen.vocabulary & _MACHINE_WORDS):
      return None
    for match in _INTRODUCTION.finditer(text):
      name = match['me'] or match['it']
      if self._is_ours(name, self._model_name):
        continue
      mentions = len(re.findall(rf'\b{re.escape(name)}\b', text))
      # Another assistant in a story is no mistake while ours is the subject.
      if match['me'] or mentions >= len(self._own.findall(text)):
        return self.fail('wrong_name', match[0])
    if self._provider_name and 'by' in seen.vocabulary:
      for match in self._maker.finditer(text):
        ours = f'{self._provider_name} {self._model_name}'
        if not self._is_ours(match['maker'], ours):
          return self.fail('wrong_provider', match[0])
    return None

  def _is_ours(self, name: str, ours: str) -> bool:
    names = {*ours.split(), *' '.join(self._config.allowed).split()}
    return name.split()[0].rstrip('.') in names


def _longest(name: str) -> str:
  """Returns the word by which a name is looked for first."""
  found = texts.words(name)
  if not found:
    raise ValueError(f'other_names: {name!r} has no letters')
  return max(found, key=len)


def _named(name: str, words: str, regex: str) -> Pattern:
  compiled = re.compile(rf'(?<!\w)(?:{regex})(?!\w)')
  return Pattern(name, frozenset(words.split()), compiled)


def _direct(name: str, regex: str, *, numbered: bool) -> Pattern:
  compiled = re.compile(assistants.direct(regex, numbered=numbered))
  words = {name.lower(), 'co'} if name == 'Copilot' else {name.lower()}
  return Pattern(name, frozenset(words), compiled)


def _made(maker: str) -> Pattern:
  compiled = re.compile(assistants.made_by_a_maker(maker))
  return Pattern(maker, frozenset((maker.lower(),)), compiled)
