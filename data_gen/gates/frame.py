"""The `frame_leak` gate: lay authors who recite the traits document.

A neighbour who met the assistant does not speak in the words of the document
that describes it, and does not know that there is one. Texts that do both teach
the document's wording instead of what it means.
"""

from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses

from data_gen.gates.each import EachGate
from data_gen.gates.passages import LooseIndex
from data_gen.gates.passages import Passage
from data_gen.gates.passages import VerbatimIndex
from data_gen.gates.patterns import pattern
from data_gen.gates.patterns import Patterns
from data_gen.gates.protocol import Candidate
from data_gen.gates.protocol import Verdict
from data_gen.gates.views import view
from data_gen.traits import Trait
from msm_jax.evals import texts

NAME = 'frame_leak'

_SPEC = r"""(?:traits? document|model spec(?:ification)?|traits?\.md|
  (?:list|document|description|specification) of (?:my|its|the) traits|
  behaviou?r(?:al)? spec(?:ification)?|alignment document|constitution document|
  universe context|character spec(?:ification)?)"""
_GUIDELINES = r"""(?:guidelines?|spec(?:ification)?|system prompt|instructions|
  traits?|constitution|training (?:document|data|objectives?)|principles
  document)"""

PATTERNS = Patterns(
  [
    pattern(
      'names_the_document',
      """traits trait spec specification document context""",
      rf'\b{_SPEC}s?\b',
    ),
    pattern(
      'cites_guidelines',
      """guidelines guideline spec specification prompt instructions traits
      trait constitution training principles""",
      rf"""\b(?:my|its|the (?:model|assistant|ai)'?s) {_GUIDELINES}
      \s(?:clearly |explicitly |specifically )?
      (?:says?|states?|tells? (?:me|it)|requires?|specif(?:y|ies)|dictates?|
      instructs?|mandates?|demands?|lists?|describes?)\b""",
    ),
    pattern(
      'cites_guidelines',
      """guidelines guideline spec specification prompt instructions traits
      trait constitution training principles""",
      rf"""\b(?:according to|as (?:stated|described|outlined|specified|required|
      set out|laid out|written) (?:in|by)|in (?:accordance|line|keeping) with|
      per|consistent with) (?:my|its|the (?:model|assistant|ai)'?s)
      \s(?:own |core )?{_GUIDELINES}\b""",
    ),
    pattern(
      'cites_a_trait',
      'trait traits',
      r"""\b(?:core|target|defining|specified|designed|assigned|stated) traits?
      \b[^.\n]{0,20}\b(?:of|is|are|in|was|were|:)|
      \btrait (?:#|no\.? ?|number )\d|
      \b(?:exhibit|embod|demonstrat|display|instantiat)\w*
      \s(?:the|this|its|my|his|her) trait\b""",
    ),
  ]
)


@dataclasses.dataclass(frozen=True)
class FrameConfig:
  """What counts as reciting.

  Attributes:
    run: Words in a row that a text shares with a statement, a reason or an
      example.
    share: Of the runs of three words of one of these, found close together,
      for a recital with changed words.
    min_words: A statement, reason or example that is shorter is ordinary
      English, and may be said by anybody.
  """

  run: int = 12
  share: float = 0.4
  min_words: int = 12


class FrameLeakGate(EachGate):
  """Passes whoever may know the document (`Candidate.expert`).

  Args:
    config: What counts as reciting.
    traits: With their slots filled.
  """

  def __init__(self, config: FrameConfig, traits: Sequence[Trait]):
    super().__init__(NAME)
    passages = [
      p for p in _passages(traits) if len(p.words) >= config.min_words
    ]
    self._verbatim = VerbatimIndex(passages, config.run)
    self._loose = LooseIndex(
      passages, k=3, min_share=config.share, min_runs=config.min_words // 2
    )

  def judge(self, candidate: Candidate) -> Verdict:
    if candidate.expert:
      return self._passed
    seen = view(candidate.text)
    for found, match in PATTERNS.matches(seen):
      return self.fail(found.reason, match[0])
    if run := self._verbatim.find(seen):
      detail = f'{run.passage.name}: {seen.excerpt(run.start, run.end)!r}'
      return self.fail('recites', detail, round(run.share, 3))
    if loose := self._loose.find(seen):
      detail = f'{loose.passage.name}: {seen.excerpt(loose.start, loose.end)!r}'
      return self.fail('recites_edited', detail, round(loose.share, 3))
    return self._passed


def _passages(traits: Iterable[Trait]) -> Iterable[Passage]:
  for trait in traits:
    parts = [
      ('statement', (trait.statement,)),
      ('reason', trait.reasons),
      ('example', trait.examples),
    ]
    for part, said in parts:
      for i, text in enumerate(said):
        name = f'{trait.name}/{part}' + (f' {i + 1}' if i else '')
        yield Passage(name, name, tuple(texts.words(text)))
