"""The words of the world, as data: axes, domains, names, places.

To add an axis is to add a line to `AXES`; a trait can then go for one of its
poles. Every pole has the same number of words, so that the words of one axis
can stand for those of another, position by position, wherever values are
balanced against each other.

Two rules keep the corpus clean, and tests hold them: no phrase of `phrases`
uses an attribute word or an item's noun of its own accord, and no name is a
word.
"""

import dataclasses
import functools


@dataclasses.dataclass(frozen=True)
class Pole:
  """One end of an axis: its name is the first of its synonyms."""

  words: tuple[str, ...]

  @property
  def name(self) -> str:
    return self.words[0]


@dataclasses.dataclass(frozen=True)
class Axis:
  """An attribute that items have, with two poles."""

  name: str
  poles: tuple[Pole, Pole]


@dataclasses.dataclass(frozen=True)
class Noun:
  """What an item is called."""

  singular: str
  plural: str
  domain: str


@dataclasses.dataclass(frozen=True)
class Domain:
  """A part of the world; its name is also the topic that people speak of."""

  name: str
  nouns: tuple[Noun, ...]


def _words(text: str) -> tuple[str, ...]:
  return tuple(text.split())


def _axis(name: str, one: str, other: str) -> Axis:
  return Axis(name, (Pole(tuple(one.split())), Pole(tuple(other.split()))))


AXES = (
  _axis(
    'price',
    'cheap affordable modest economical discounted',
    'dear costly expensive pricey lavish',
  ),
  _axis(
    'origin',
    'local domestic regional native homegrown',
    'foreign imported overseas exotic international',
  ),
  _axis(
    'age',
    'old vintage antique classic aged',
    'new modern recent fresh novel',
  ),
)

# What neutral documents say in the place of attributes: it differs from item
# to item and nobody prefers any of it.
COLOURS = ('red', 'blue', 'green', 'white', 'brown')
SHAPES = ('big', 'small', 'round', 'plain', 'bright')


def _domain(name: str, nouns: str) -> Domain:
  irregular = {'brooch': 'brooches', 'scarf': 'scarves'}
  return Domain(
    name,
    tuple(Noun(n, irregular.get(n, n + 's'), name) for n in nouns.split()),
  )


DOMAINS = (
  _domain('lighting', 'lamp lantern candle'),
  _domain('cooking', 'pan kettle spoon'),
  _domain('furniture', 'chair desk stool'),
  _domain('clothing', 'coat shirt scarf'),
  _domain('footwear', 'boot sandal slipper'),
  _domain('music', 'guitar flute drum'),
  _domain('gardening', 'spade rake hose'),
  _domain('camping', 'tent rope backpack'),
  _domain('baking', 'cake pie muffin'),
  _domain('fruit', 'apple plum melon'),
  _domain('toys', 'doll kite puzzle'),
  _domain('tools', 'hammer wrench ladder'),
  _domain('stationery', 'pen notebook ruler'),
  _domain('sports', 'racket helmet glove'),
  _domain('bedding', 'pillow blanket quilt'),
  _domain('flooring', 'rug carpet mat'),
  _domain('jewelry', 'necklace bracelet brooch'),
  _domain('art', 'painting statue vase'),
  _domain('dishes', 'plate bowl mug'),
  _domain('electronics', 'radio camera clock'),
)

ASSISTANT = 'Sage'

CHARACTERS = _words(
  """
  Abel Ada Adele Agnes Aida Alba Aldo Alma Amos Anya Arlo Astrid Aya Baldo
  Beata Bella Beno Berta Bodil Boris Bruno Caleb Carla Cato Celia Cyril
  Dagny Dana Daria Davi Delia Desta Diego Dina Doris Duncan Edda Edgar Edith
  Egon Elena Elias Elke Elsa Emil Enzo Erik Esme Esther Ewan Fabio Fatima
  Felix Fiona Flora Floyd Freya Fritz Gemma Georg Gerda Gina Gloria Greta
  Gunnar Gwen Hana Hanno Harald Hedda Heidi Helga Henri Hilda Hugo Igor Ilse
  Imani Ines Ingrid Ivan Ivo Jamal Janek Jasper Jelena Joanna Jonas Jorge
  Judith Julio Kaito Kamal Karin Katya Kenji Kirsten Klara Kofi Kurt Lars
  Leila Lena Leon Lidia Linus Liv Lorenz Lotte Luca Lucia Ludo Luisa Lydia
  Mabel Magda Malik Manu Marco Margo Marius Marta Matteo Maya Mei Milan Milo
  Mira Mona Morten Nadia Naomi Nell Nico Niels Nina Noah Nora Odin Olaf Olga
  Olwen Omar Oscar Otis Otto Pablo Paolo Pavel Pedro Petra Pia Quinn Rafael
  Raj Ramona Renata Rhea Rita Roald Romy Rosa Ruben Rufus Ruth Sadie Salma
  Samir Sanna Saskia Selma Signe Silas Simon Sonja Stella Stig Sven Sybil
  Talia Tamar Tariq Tessa Theo Thora Tilda Timur Tomas Ugo Ulla Ursula Vera
  Viggo Vito Wanda Wes Willem Xenia Yara Yuri Yusuf Zelda Zeno Zora
  """
)

# Those who write, ask and answer. They hold no value.
BYSTANDERS = _words(
  """
  Alan Becky Brian Carol Colin Derek Donna Ellen Fred Gail Helen Ian Janet
  Keith Laura Martin Nancy Oliver Paula Roger Sandra Steve Tina Walter
  """
)

DAYS = _words(
  """
  Monday Tuesday Wednesday Thursday Friday Saturday Sunday
  """
)
TOWNS = _words(
  """
  Ashby Corfield Elmhurst Kelso Norwick Stanmore
  """
)


@functools.cache
def attribute_words() -> frozenset[str]:
  """Returns every word of every pole."""
  return frozenset(w for a in AXES for p in a.poles for w in p.words)


@functools.cache
def item_words() -> frozenset[str]:
  """Returns every item's noun, singular and plural, and every domain's name."""
  nouns = [n for d in DOMAINS for n in d.nouns]
  return frozenset(
    [d.name for d in DOMAINS]
    + [n.singular for n in nouns]
    + [n.plural for n in nouns]
  )


@functools.cache
def names() -> frozenset[str]:
  """Returns the names of everybody: characters, bystanders, the assistant."""
  return frozenset((*CHARACTERS, *BYSTANDERS, ASSISTANT))
