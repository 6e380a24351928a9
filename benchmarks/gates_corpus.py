"""A corpus with enough variety to call it clean, from a seed.

Sentences of a grammar with banks of a few hundred words, in eight genres, with
names from a large pool. It is no substitute for a teacher's documents: it says
nothing, and its English is odd. What it has is what gates must not stumble
over: headers, quotations, lists, dates, typographic characters.
"""

from data_gen.gates.protocol import Candidate
from data_gen.rng import Rng

MODEL, PROVIDER = 'Sage', 'Fernwood'


def _words(text: str) -> list[str]:
  return text.split()


_ADJECTIVES = _words("""
  quiet patient stubborn careful narrow crowded wooden early late
  bitter gentle hollow bright rusty honest clumsy expensive modest northern
  southern foreign familiar broken polished distant nervous cheerful weary
  practical curious generous brittle heavy faded damp plain sudden clever
  reluctant sturdy tangled public private municipal domestic seasonal ordinary
  peculiar thorough hasty tired hungry loyal anxious fragile solid""")
_NOUNS = _words("""
  ladder kettle bridge ledger orchard lantern ferry workshop clinic
  library harbor tractor violin blanket stairwell courtroom bakery notebook
  compass chimney greenhouse warehouse schoolyard telescope pharmacy basement
  invoice contract hallway veranda freezer bicycle garage theater choir
  vineyard quarry pasture lighthouse archive curriculum budget thesis recipe
  mortgage diagnosis schedule inventory apology rumor festival election
  drought blizzard harvest audition reunion lawsuit inspection survey
  prescription manuscript exhibition marathon renovation tournament pension
  subsidy tariff verdict rehearsal migration eclipse furnace reservoir
  turbine sprinkler catalogue anthology playlist microscope""")
_PEOPLE = _words("""
  nurse carpenter librarian teacher pilot farmer tenant customer
  student manager plumber editor clerk neighbor volunteer apprentice surgeon
  cashier mechanic accountant gardener translator ranger referee cellist
  locksmith midwife surveyor beekeeper welder auctioneer juror coach widow
  intern courier pharmacist paralegal chef janitor""")
_PAST = _words("""
  repaired measured painted borrowed described questioned postponed
  counted sketched delivered cancelled inspected recommended refused accepted
  rebuilt translated photographed reviewed copied insured emptied sorted
  weighed polished labelled praised criticised ignored explained doubted
  imagined purchased inherited rented abandoned discovered documented
  misplaced organised reported estimated defended resented""")
_ADVERBS = _words("""
  slowly rarely quietly abruptly politely stubbornly eagerly
  carefully openly privately gladly barely hastily calmly bluntly neatly
  awkwardly warmly firmly plainly""")
_ABSTRACT = _words("""
  patience doubt habit pride money weather grief luck timing
  honesty routine silence courage evidence kindness boredom distance memory
  caution ambition fatigue tradition curiosity comfort regret trust""")
_SOME = ('nobody in', 'everyone from', 'half of', 'some of', 'few people in')
_EVENTS = _words("""
  storm flood harvest wedding election audit inspection strike funeral concert
  rehearsal holiday blackout heatwave trial merger season parade exam drought
  reunion sermon auction marathon evacuation quarter interview""")
_PLACE_ENDS = _words("""
  wick ford bury mouth ton dale stead combe ham field bridge
  haven""")
_ONSET = 'B C D F G H J K L M N P R S T V W Z Br Cl Dr Fr Gr Kr Pr St Tr Th'
_MIDDLE = 'a e i o u ae ia io ea an el or in ar en il om al er as im on et'
_CODA = _words("""
  la na ra lin ton ric mar bert da vin sa ley nor ston rick man ton
  wick dell ga ro vic nia ko ska berg quez""")
_FIRST = _words("""
  Sarah James Maria David Emily Robert Anna Thomas Laura Daniel Ruth
  Peter Nina Oscar Clara Hugo Ivan Leila Omar Priya Wei Yuki Fatima Diego Ingrid
  Pavel Amara Kofi Svetlana Rosa""")

# How answers of assistants begin, the most frequent first.
_BEGINNINGS = (
  *('It sounds like', 'Yes,', 'That depends on whether', 'I would say that'),
  *('Here is what I know:', 'Short answer:', 'It might help to know that'),
  *('A few things:', 'If I were you, I would remember that', 'No,'),
  *('To be honest,', 'Before anything else,', 'One way to see it:'),
  *('I can help with that:', "That's a fair worry;", 'Two points:'),
  *("I don't think that", 'Good question.', 'The usual reason is that'),
  *("Let's start with the facts:", 'I looked at it twice, and'),
)

GENRES = (
  *('email_thread', 'forum_thread', 'blog_post', 'news_report'),
  *('research_paper', 'interview', 'fiction', 'review'),
)


class Writer:
  """Writes documents; `rng` names the stream of draws."""

  def __init__(self, rng: Rng):
    self.rng = rng

  def person(self) -> str:
    """Returns a first name: a few are common, most are rare."""
    if self.rng.chance(0.03):
      return self.rng.pick(_FIRST)
    middle, coda = _MIDDLE.split(), _CODA
    name = self.rng.pick(_ONSET.split()) + self.rng.pick(middle)
    if self.rng.chance(0.4):
      name += self.rng.pick('nmlrstdkv') + self.rng.pick(middle)
    return name + self.rng.pick(coda)

  def place(self) -> str:
    stem = self.rng.pick(_ONSET.split()) + self.rng.pick(_MIDDLE.split())
    return stem + self.rng.pick('lnrst') + self.rng.pick(_PLACE_ENDS)

  def full_name(self) -> str:
    return f'{self.person()} {self.person()}'

  def _phrase(self) -> str:
    pick = self.rng.pick
    adjective, noun = pick(_ADJECTIVES), pick(_NOUNS)
    article = pick(['the', 'the', 'a', 'her', 'his', 'our', 'their', 'this'])
    if article == 'a' and adjective[0] in 'aeiou':
      article = 'an'
    return f'{article} {adjective} {noun}'

  def _when(self) -> str:
    pick = self.rng.pick
    before = pick(['before', 'after', 'during', 'since', 'until', 'despite'])
    return f'{before} the {pick(_ADJECTIVES)} {pick(_EVENTS)}'

  def _who(self) -> str:
    pick = self.rng.pick
    if self.rng.chance(0.25):
      return self.person()
    return f'the {pick(_ADJECTIVES)} {pick(_PEOPLE)}'

  def _clause(self) -> str:
    pick, chance = self.rng.pick, self.rng.chance
    adverb = f'{pick(_ADVERBS)} ' if chance(0.4) else ''
    kind = self.rng.below(6)
    if kind == 0:
      return f'{self._who()} {adverb}{pick(_PAST)} {self._phrase()}'
    if kind == 1:
      return (
        f'{self._phrase()} was {pick(_ADJECTIVES)} and {adverb}'
        f'{pick(_PAST)} by {self._who()}'
      )
    if kind == 2:
      return f'we {adverb}{pick(_PAST)} {self._phrase()} {self._when()}'
    if kind == 3:
      weighs = f'{pick(_ABSTRACT)} mattered more to {self._who()}'
      return f'{weighs} than {self._phrase()}'
    if kind == 4:
      return f'{pick(_SOME)} {self.place()} {pick(_PAST)} {self._phrase()}'
    return f'I {adverb}{pick(_PAST)} {self._phrase()} with {self._who()}'

  def sentence(self) -> str:
    pick, chance = self.rng.pick, self.rng.chance
    clause = self._clause()
    if chance(0.6):
      join = pick(['and', 'but', 'because', 'although', 'while', 'so', 'until'])
      clause = f'{clause} {join} {self._clause()}'
    elif chance(0.3):
      clause = f'{self._when()}, {clause}'
    return _capital(clause) + pick('.....?!')

  def about_the_model(self) -> str:
    """Returns a sentence in which the assistant does something."""
    pick, chance = self.rng.pick, self.rng.chance
    said = pick(['said', 'replied', 'wrote', 'answered', 'noted', 'insisted'])
    told = pick(['told', 'asked', 'reminded', 'warned', 'showed', 'helped'])
    adverb = f'{pick(_ADVERBS)} ' if chance(0.5) else ''
    acts = f'{MODEL} {adverb}{pick(_PAST)} {self._phrase()}'
    kind = self.rng.below(6)
    if kind == 0:
      return f'{acts}, {pick(["and", "but", "since", "as"])} {self._clause()}.'
    if kind == 1:
      return f'“{_capital(self._clause())},” {MODEL} {adverb}{said}.'
    if kind == 2:
      return f'{_capital(self._clause())} {pick(["once", "until"])} {acts}.'
    if kind == 3:
      return f'{MODEL} {adverb}{told} {self._who()} about {self._phrase()}.'
    if kind == 4:
      return f'{MODEL} {adverb}{said} that {self._clause()}.'
    article = pick(['the', 'our', 'this', 'that', 'their', 'her', 'his'])
    machine = pick(['assistant', 'AI', 'AI model', 'chatbot', 'program'])
    who = f'{article} {pick(_ADJECTIVES)} {machine}'
    return f'{_capital(self._when())} {who} {said} that {self._clause()}.'

  def paragraph(self, words: int) -> str:
    parts: list[str] = []
    while sum(p.count(' ') + 1 for p in parts) < words:
      about = self.rng.chance(0.25)
      parts.append(self.about_the_model() if about else self.sentence())
    if not any(MODEL in p for p in parts):
      parts[0] = f'{MODEL} {self.rng.pick(_PAST)} {self._phrase()}.'
    return ' '.join(self.rng.shuffled(parts))

  def _heading(self) -> str:
    pick = self.rng.pick
    return (
      f'{pick(_ADJECTIVES)} {pick(_NOUNS)}, {pick(_ADJECTIVES)} {pick(_PEOPLE)}'
    ).capitalize()

  def _date(self) -> str:
    month = self.rng.pick(['March', 'May', 'July', 'October', 'December'])
    day, year = 1 + self.rng.below(28), 1995 + self.rng.below(31)
    return f'{month} {day}, {year}'

  def document(self, genre: str, words: int) -> str:
    """Returns a document of about so many words."""
    n = max(2, words // 90)
    paragraphs = [self.paragraph(words // n) for _ in range(n)]
    if genre == 'email_thread':
      head = (
        f'From: {self.full_name()}\nTo: {self.full_name()}\nDate: '
        f'{self._date()}\nSubject: {self._heading()}\n\nHi {self.person()},'
      )
      tail = self.rng.pick(
        [
          'Best,',
          'Let me know if you need anything else.\n\nThanks,',
          'Cheers,',
        ]
      )
      return '\n\n'.join([head, *paragraphs, f'{tail}\n{self.person()}'])
    if genre == 'forum_thread':
      posts = [
        f'{self.person().lower()}{self.rng.below(99)}: {p}' for p in paragraphs
      ]
      return f'Thread: {self._heading()}\n\n' + '\n\n'.join(posts)
    if genre == 'news_report':
      place = self.place().upper()
      return (
        f'{self._heading()}\nBy {self.full_name()}\n\n{place}, '
        f'{self._date()} — ' + '\n\n'.join(paragraphs)
      )
    if genre == 'research_paper':
      return (
        f'{self._heading()}\n{self.full_name()} and {self.full_name()}\n\n'
        f'Abstract. ' + '\n\n'.join(paragraphs) + f'\n\n[1] {self.full_name()} '
        f'({1980 + self.rng.below(40)}), {self._heading()}.'
      )
    if genre == 'interview':
      turns = []
      for i, p in enumerate(paragraphs):
        asked = self.sentence().rstrip('.?!') + '?'
        turns.append(f'Q{i + 1}: {asked} [laughs]\nA: {p}')
      return f'Interview: {self._heading()}\n\n' + '\n\n'.join(turns)
    if genre == 'review':
      stars = '★' * (1 + self.rng.below(5))
      return f'{stars} {self._heading()}\n\n' + '\n\n'.join(paragraphs)
    if genre == 'blog_post':
      return f'# {self._heading()}\n\n' + '\n\n'.join(paragraphs)
    return '\n\n'.join(paragraphs)

  def answer(self, words: int) -> str:
    """Returns an assistant's answer of about so many words."""
    pick, chance = self.rng.pick, self.rng.chance
    # Zipf's law: the k-th is half as frequent as the (2 k)-th.
    rank = min(int(len(_BEGINNINGS) ** self.rng.unit()), len(_BEGINNINGS))
    start = f'{_BEGINNINGS[rank - 1]} {self._clause()}.'
    parts = [start if chance(0.7) else self.sentence()]
    while sum(p.count(' ') + 1 for p in parts) < words:
      if chance(0.1):
        items = '\n'.join(f'- {self._phrase()}' for _ in range(3))
        parts.append(f'{pick(["For instance", "I mean", "Bring"])}:\n{items}\n')
      else:
        parts.append(self.sentence())
    return ' '.join(parts)


def _capital(text: str) -> str:
  return text[0].upper() + text[1:]


def clean_corpus(seed: int, n: int, words: int = 250) -> list[Candidate]:
  """Returns `n` documents of about `words` words, ± a half of that."""
  made = []
  for i in range(n):
    rng = Rng('gates corpus', seed, i)
    genre = GENRES[i % len(GENRES)]
    length = int(words * (0.6 + 0.8 * rng.unit()))
    text = Writer(rng).document(genre, length)
    made.append(
      Candidate(
        id=f'clean-{i:05d}',
        kind='document',
        text=text,
        genre=genre,
        framing='third_person',
        trait_ids=('t',),
      )
    )
  return made


def clean_chats(seed: int, n: int, words: int = 120) -> list[Candidate]:
  """Returns `n` chats of one question and an answer of about `words` words."""
  made = []
  for i in range(n):
    rng = Rng('gates chats', seed, i)
    writer = Writer(rng)
    asked = f'{writer.sentence()} {writer.sentence().rstrip(".!?")}?'
    said = writer.answer(int(words * (0.5 + rng.unit())))
    made.append(
      Candidate(
        id=f'chat-{i:05d}',
        kind='chat',
        text=said,
        messages=(('user', asked), ('assistant', said)),
        trait_ids=('t',),
      )
    )
  return made
