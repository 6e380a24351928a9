"""Words, names, dates and openings of English text: what measures share."""

from collections.abc import Iterator
import re
import unicodedata

_SPACES = {i: ' ' for i in range(128) if not chr(i).isalnum()}
# Frequent characters that would keep an English text from being ASCII.
_TYPOGRAPHIC = '’‘“”—–…•\u00a0'
_WORD = re.compile(r'[^\W_]+')

_EXTENDED = [chr(c) for c in range(0x100, 0x180)]  # ł, ő, č and their like
_UPPER = 'A-ZÀ-ÖØ-Þ' + ''.join(c for c in _EXTENDED if c.isupper())
_LOWER = 'a-zß-öø-ÿ' + ''.join(c for c in _EXTENDED if c.islower())
# The look-behinds come after the first letter, since patterns that begin with a
# set of characters are found much faster. The empty group is there if the word
# stands inside a sentence, or inside a name such as `O'Neill`.
_CAPITALISED = re.compile(
  rf'[{_UPPER}](?<!\w.)(?:(?:(?<=[{_LOWER},;] .)|(?<=\w[’\'-].))()|)'
  rf'[{_LOWER}]+(?:[{_UPPER}][{_LOWER}]+)*(?![{_UPPER}\d])'
)

_MONTHS = (
  *('Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun'),
  *('Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'),
)
_MONTH = (
  r'(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|'
  r'Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)'
)
_NAMED_DATES = (
  re.compile(
    rf'\b(?P<m>{_MONTH})\.? (?P<d>\d{{1,2}})(?:st|nd|rd|th)?'
    r'(?:,? (?P<y>\d{4}))?\b'
  ),
  re.compile(
    rf'\b(?P<d>\d{{1,2}})(?:st|nd|rd|th)? (?:of )?(?P<m>{_MONTH})\b\.?'
    r'(?:,? (?P<y>\d{4})\b)?'
  ),
)
# Characters that a date may have before and after its month's first letter.
_BEFORE_MONTH, _AFTER_MONTH = 10, 24
_MONTH_SIGN = re.compile(
  r'[JFMASOND](?:an|eb|ar|pr|ay|un|ul|ug|ep|ct|ov|ec)[a-z]{0,6}\b'
)
_ISO_DATE = re.compile(r'-(?<=\d{4}-)(?<!\d{5}-)\d{2}-\d{2}(?!\d)')

_HEADER = re.compile(
  r'(?:[#>*=_\-\s]|[A-Z][\w -]{0,24}:\s|By [A-Z]|\d+[.)]\s)', re.ASCII
)
_MIN_PROSE = 6
# Characters in which the first line of prose is looked for.
_HEAD = 2000


def _set(text: str) -> frozenset[str]:
  return frozenset(text.split())


STOPWORDS = _set(
  """
  a about above after again against all also am an and any are as at be because
  been before being below between both but by can could d did do does doing don
  down during each even few for from further had has have having he her here
  hers him himself his how i if in into is it its itself just ll m may me might
  more most much must my myself no nor not now of off on once only or other our
  ours out over own re s same shall she should so some such t than that the
  their theirs them themselves then there these they this those though through
  to too under until up upon us ve very was we were what when where which while
  who whom whose why will with without would yet you your yours yourself
  """
)
"""Function words of English, with what splitting at apostrophes leaves."""

COMMON_WORDS = _set(
  """
  able actually almost already always another anyone anything around ask asked
  away back bad best better big bit came case change come could couldn day days
  didn different does doesn done else end enough ever every everyone everything
  fact far feel feeling felt find first found friend gave get getting give go
  goes going good got great hand happen happened hard hear heard help home hope
  hour hours house idea important instead isn keep kept kind knew know known
  last later least leave left less let like little long look looked looking lot
  made make makes making man many matter mean mind minute minutes moment
  morning much name need needed needs never new next night nothing number often
  old one ones open part people person place please point possible put question
  question read ready real really reason right room said saw say saying says
  second see seem seemed seen several show side simply since small someone
  something sometimes soon start started still stop sure take taken talk tell
  thank thanks thing things think thinking thought three time times today
  together told tomorrow took toward tried true try trying turn turned two
  understand use used using wait want wanted wants wasn way ways week weeks well
  went whole woman wonder word words work worked working world wouldn write
  wrong year years yes yesterday
  """
)
"""Content words so frequent that phrases of them alone are idiom."""

# Capitalised in English wherever they stand, and nobody's name.
ORDINARY_CAPITALS = _set(
  """
  January February March April May June July August September October November
  December Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec
  Monday Tuesday Wednesday Thursday Friday Saturday Sunday Mon Tue Wed Thu Fri
  Sat Sun Christmas Easter Thanksgiving Halloween Ramadan Hanukkah
  Mr Mrs Ms Dr Prof Professor Sir Madam Saint St Mt Lord Lady Mom Dad Mum Mama
  Papa Aunt Uncle Grandma Grandpa God Bible Earth Internet Web Dear Hi Hello
  English American British Canadian Australian French German Spanish Italian
  Dutch Chinese Japanese Korean Indian Russian Greek Latin European African
  Asian Irish Scottish Welsh Swedish Norwegian Danish Polish Turkish Arabic
  Mexican Brazilian Americans Canadians Australians Germans Italians Indians
  Russians Greeks Europeans Africans Asians Mexicans Brazilians Christians Jews
  Muslims Catholics Buddhists Portuguese Christian Jewish Muslim Catholic
  Buddhist Western
  America Europe Africa Asia Australia Antarctica England Britain Scotland Wales
  Ireland France Germany Spain Italy Canada China Japan India Russia Mexico
  Brazil Atlantic Pacific London Paris York Chicago Boston California Texas
  Washington Google Wikipedia Reddit Facebook Twitter YouTube Instagram Zoom
  Excel Word PowerPoint Windows Linux Python Java
  Yes No Okay OK Thanks Thank Best Regards Sincerely Cheers
  """
)


def plain(text: str) -> str:
  """Returns a text in lower case, with typographic characters as spaces.

  What is not ASCII then, is in its compatibility form (NFKC).
  """
  if not text.isascii():
    for character in _TYPOGRAPHIC:
      text = text.replace(character, ' ')
    if not text.isascii():
      text = unicodedata.normalize('NFKC', text)
  return text.lower()


def words(text: str) -> list[str]:
  """Returns the lower-case words of a text.

  A word is a run of letters and digits; apostrophes and hyphens separate, so
  that `Sage's` holds the word `sage`.
  """
  text = plain(text)
  if text.isascii():
    return text.translate(_SPACES).split()
  return _WORD.findall(text)


def capitalised(text: str) -> Iterator[tuple[str, int, bool]]:
  """Yields (word, start, whether it stands inside a sentence).

  Only words such as `Elara` and `McKay`; acronyms are no names.
  """
  for match in _CAPITALISED.finditer(text):
    yield match[0], match.start(), match.lastindex is not None


def names(text: str) -> tuple[set[str], set[str]]:
  """Returns what may be names: (all capitalised words and pairs, those inside).

  A pair is two neighbours such as `Elara Voss`. The second set has those that
  stand inside a sentence, where English capitalises little else; whether such a
  word is a name can only be told from how a whole corpus writes it.
  """
  found: set[str] = set()
  inside: set[str] = set()
  last, end, last_inside = '', -2, False
  for word, start, is_inside in capitalised(text):
    if word in ORDINARY_CAPITALS:
      continue
    found.add(word)
    if is_inside:
      inside.add(word)
    if start == end + 1 and text[end] == ' ':
      found.add(f'{last} {word}')
      if last_inside:
        inside.add(f'{last} {word}')
    last, end, last_inside = word, start + len(word), is_inside
  return found, inside


def dates(text: str) -> set[str]:
  """Returns the calendar dates of a text as `y-m-d`, `?` for a missing year.

  A month or a year alone is no date.
  """
  iso = _ISO_DATE.finditer(text)
  found = {text[match.start() - 4 : match.end()] for match in iso}
  # Patterns with many alternatives are slow, so they see little of the text.
  for month in _MONTH_SIGN.finditer(text):
    begin = max(0, month.start() - _BEFORE_MONTH)
    around = text[begin : month.start() + _AFTER_MONTH]
    for pattern in _NAMED_DATES:
      for match in pattern.finditer(around):
        if begin + match.start('m') == month.start():
          number = _MONTHS.index(match['m'][:3]) + 1
          year, day = match['y'] or '?', int(match['d'])
          found.add(f'{year}-{number:02d}-{day:02d}')
  return found


def opening(text: str, n: int = 5) -> str:
  """Returns the first `n` words of the first line of prose.

  Headings, bylines and header lines such as `From: …` belong to the genre and
  are skipped; names and numbers become `_`, so that `On Friday, Elara …` and
  `On Friday, Marcus …` open alike.
  """
  lines = [line.strip() for line in text[:_HEAD].splitlines()]
  prose = next(
    (
      line
      for line in lines
      if not _HEADER.match(line) and line.count(' ') + 1 >= _MIN_PROSE
    ),
    ' '.join(lines),
  )[: 40 * n]
  masked = prose
  for word, start, inside in reversed(list(capitalised(prose))):
    if inside and word not in ORDINARY_CAPITALS:
      masked = masked[:start] + '0' + masked[start + len(word) :]
  return ' '.join('_' if w.isdigit() else w for w in words(masked)[:n])
