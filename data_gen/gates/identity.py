"""The `identity` gate: the right assistant, and no other.

A quality gate of others once passed a million tokens that told Llama that it
was Qwen. See `assistants` for the names and for how namesakes are told apart.
"""

import dataclasses
import re

from data_gen.gates import assistants
from data_gen.gates import claims
from data_gen.gates.each import EachGate
from data_gen.gates.hashing import Keys
from data_gen.gates.hashing import word_ids
from data_gen.gates.patterns import Pattern
from data_gen.gates.patterns import Patterns
from data_gen.gates.protocol import Candidate
from data_gen.gates.protocol import Verdict
from data_gen.gates.views import View
from data_gen.gates.views import view
from msm_jax.evals import texts

NAME = 'identity'


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
    self._makers = claims.Makers(model_name)
    forms = '|'.join(
      re.escape(n) for n in dict.fromkeys((model_name, model_name.upper()))
    )
    self._own = re.compile(rf'(?<!\w)(?:{forms})(?!\w)')
    ours = ' '.join((model_name, provider_name, *config.allowed))

    def known(name: str, regex: str) -> bool:
      return bool(re.search(rf'\b(?:{name}|{regex})\b', ours))

    suspect = {k: v for k, v in assistants.SUSPECT.items() if not known(k, v)}
    self._others = Patterns(
      [
        *(_named(n, _longest(n), re.escape(n)) for n in config.other_names),
        *(
          _named(name, words, regex)
          for name, (words, regex) in assistants.CERTAIN.items()
          if not known(name, regex)
        ),
        *(_direct(k, v, numbered=False) for k, v in suspect.items()),
        *(
          _direct(k, v, numbered=True)
          for k, v in assistants.AMBIGUOUS.items()
          if not known(k, v)
        ),
        *(_made(m) for m in assistants.MAKERS if not known(m, m)),
      ]
    )
    words = [name.lower() for name in suspect]
    self._suspect_words = Keys(word_ids(words).tolist())
    self._suspects = {
      name: (
        re.compile(rf'\b(?:{regex}|{name.upper()})\b'),
        re.compile(assistants.NAMESAKES[name]),
      )
      for name, regex in suspect.items()
    }

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
    if not len(self._suspect_words.find(seen.ids)[0]):
      return None
    text = seen.text
    for name, (mention, namesake) in self._suspects.items():
      if (match := mention.search(text)) and not namesake.search(text):
        around = text[max(0, match.start() - 30) : match.end() + 30]
        return self.fail('other_assistant', f'{name}: …{around}…')
    return None

  def _judge_claims(self, seen: View) -> Verdict | None:
    """Who the assistant says that it is, and who made it, by unknown names."""
    text = seen.text
    words = claims.words_in(seen)
    for name, passage in claims.own_names(text, words):
      if not self._is_ours(name, self._model_name):
        return self.fail('wrong_name', passage)
    for name, passage in claims.given_names(text, words):
      if self._is_ours(name, self._model_name):
        continue
      mentions = len(re.findall(rf'\b{re.escape(name)}\b', text))
      # Another assistant in a story is no mistake while ours is the subject.
      if mentions >= len(self._own.findall(text)):
        return self.fail('wrong_name', passage)
    if self._provider_name:
      ours = f'{self._provider_name} {self._model_name}'
      for maker, passage in self._makers.find(text, words):
        if not self._is_ours(maker, ours):
          return self.fail('wrong_provider', passage)
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
