"""Names of people, places and houses, from banks too large to collapse.

A corpus in which one name recurs teaches that name. One first name in
three comes from a list of hundreds; all others, and all other names, are put
together from parts, so that a few thousand documents hardly meet one again.
"""

import dataclasses
import functools

from data_gen.miniature import lexicon
from data_gen.rng import Rng
from data_gen.teachers.offline.grammar import listed

_MORE_FIRST = listed(
  """
  Abebe Adaeze Adwoa Ahmet Aiko Ainhoa Akira Aleks Alejandra Alina Alistair
  Amadou Amara Amina Amir Anahit Anders Andrea Aneta Anil Anouk Antje Anton
  Aoife Ariadne Arjun Armando Arturo Asha Aurelio Ayesha Azra Bahar Bart
  Beatriz Benedikt Benoit Bettina Bianca Birgit Blanca Bogdan Branko Brendan
  Bridget Britta Camille Candela Carlota Carmen Catrin Cecily Chandra Chiara
  Chidi Chloe Clement Colette Conrad Constance Cormac Cosima Cressida Cristian
  Dafydd Damaris Damir Danilo Darius Deepa Denholm Devika Dilys Dimitri Dolores
  Dominik Dorothea Dragana Ebba Efua Eilidh Eleni Elio Elodie Elspeth Emeka
  Emine Enrique Erika Ernesto Estelle Eudora Eulalia Evander Fadil Farah Farid
  Feng Fergus Ferran Filippa Finlay Florian Francesca Frida Gareth Gaspar
  Genevieve Giorgio Giulia Godfrey Gordana Graciela Griselda Guillermo Gulnara
  Gustav Gwilym Hadiza Hakan Halima Hamish Haruki Hassan Hector Henrike Hester
  Hiroshi Honora Horatio Hyacinth Ibrahim Idris Ifeoma Ignacio Ilaria Ilias
  Imogen Inga Irina Isaura Ishaan Isolde Itziar Jacinta Jaime Jakub Jamila
  Jarek Javier Jemima Jeremiah Jerome Joaquin Jocasta Johanna Josefina Jovan
  Juanita Julien Kaija Kalinda Karim Kasper Katarzyna Kavya Kaya Keiko Kerstin
  Khadija Kiran Konrad Kristof Kwame Ladislav Laila Lalita Lamar Larissa Laszlo
  Latoya Laurent Lavinia Leander Leilani Leocadia Leonie Liesel Ligaya Lionel
  Lorcan Lorena Lubna Lucjan Ludmila Luz Maeve Magnus Maja Malin Marcel Mariam
  Marisol Maryam Mateus Mathilde Maureen Maxime Mehmet Meera Melchior Mercedes
  Merete Micha Miguel Mihai Milena Minh Miriam Moira Monique Muriel Nadira
  Narges Natalia Nathaniel Neema Nerys Nikolai Nilufer Niamh Noor Octavia
  Odalys Oksana Olivia Ondine Oriol Orla Osman Ottilie Padma Pascal Patrice
  Pauline Peregrine Perpetua Philippa Piers Pilar Pooja Priya Prosper Quentin
  Rachida Radka Raisa Rajesh Ramiro Ranjit Rashid Raul Rebekka Regina Remy
  Reza Rhiannon Ricardo Rosalind Rosario Rowena Roza Rukmini Ruslan Sabine
  Salvador Samira Sanjay Saoirse Sebastian Sergei Severin Shabnam Shanthi
  Siobhan Sigrid Sinead Siegfried Slavka Solveig Soraya Stanislav Stefania
  Sunita Svetlana Tadeusz Takumi Tanvi Tatiana Teodora Teresa Thaddeus Thandi
  Theodora Tobias Tomoko Torsten Tristan Tuulikki Ulrich Ulrike Umar Valentina
  Vanja Vasco Venetia Veronica Vikram Violeta Vladimir Waleed Wilhelmina
  Winifred Xavier Ximena Yasmin Yetunde Yolanda Youssef Yvette Zahra Zainab
  Zbigniew Zdenka Zenobia Zoltan Zuzana
  """
)
_FIRST_HEADS = listed(
  """
  Ald Ane Bel Ber Cal Cor Dal Dor Ela Er Fel Fio Gal Ger Hel Il Ira Jan Jor
  Kal Ker Lan Lor Mal Mar Nel Nor Ola Or Pel Per Ral Ros Sal Ser Tal Ter Ul Val
  Ver Wil Yar Yel Zal Zel
  """
)
_FIRST_TAILS = listed(
  """
  anda ando any bert dina dis ena enka erin essa ette fried gard ian ida imir
  ina inda ino iska isha issa ita lin mina mund nard nando neth nika rica rick
  rina sandra shan sia tamar tina tza vina vinia win
  """
)
FIRST = (*lexicon.CHARACTERS, *lexicon.BYSTANDERS, *_MORE_FIRST)
"""First names; none is an English word at the start of a sentence."""

_HEADS = listed(
  """
  Ab Ald Arn Ash Bal Bar Bel Bir Bor Brad Bren Cal Car Chad Col Cran Dal Dar
  Den Dor Dun Ed El Esk Fal Far Fen Gar Gil Gor Grim Hal Har Hath Hol Ing Kel
  Ken Kir Lam Lang Lin Lock Mal Mar Mel Mid Nor Oak Orm Pen Pres Rad Ren Rock
  Ros Sal Sed Shel Sker Stan Sut Tal Thorn Tor Ul Ven Wal War Wen Whit Wil Win
  """
)
_TOWN_TAILS = listed(
  """
  bury by combe cote croft dale don field fold gate ham haven holm hurst ington
  leigh ley minster mouth pool stead stock stow thorpe ton wick wood worth
  """
)
_SURNAME_TAILS = listed(
  """
  aby aker alli amson anova antes aroff arsen asu atti avi berg brandt dottir
  eiro ekar elli endez enko erak eresco escu etti evic fort gren idis ierre
  ikova imoto inen ingha isto iwara ksen ling lund man mann marsh mond mura
  okwu olli omba onen oraz orini oski ostom ouri oux ovic quist rad rath ridge
  sen shaw son strand strom tello thal ubi umar unde uri ward well wright yan
  """
)
_KINDS = listed(
  """
  Association Centre Circle College Collective Cooperative Council Foundation
  Group Guild House Institute League Network Partners Project Society Studio
  Trust Union Workshop
  """
)
_OUTLETS = listed(
  """
  Advertiser Argus Beacon Bulletin Chronicle Courier Dispatch Echo Examiner
  Gazette Guardian Herald Journal Ledger Mercury Messenger Observer Post Record
  Register Reporter Review Sentinel Standard Times Tribune Voice Weekly Almanac
  Bugle Citizen Clarion Comet Eagle Evening Express Forum Globe Independent
  Intelligencer Leader Lantern Mail Monitor Morning News Notebook Outlook Packet
  Pilot Press Recorder Star Sun Telegraph Torch Visitor Watch
  """
)
_QUIET = listed(
  """
  amber autumn bent bramble brisk candid cedar chalk copper crooked damp dusty
  eager ember fern gentle granite hazel idle inky lucky maple mellow misty mossy
  odd patient pebble plucky rusty salty silent silver sleepy slow sunny tidal
  tin velvet wandering windy woolly
  """
)
_THINGS = listed(
  """
  anchor badger barrel bobbin bridge canal comet crane dory envoy ferry finch
  gable gull harbor heron hinge ivy jackdaw kestrel lagoon lever lichen magpie
  meadow mill moth orchard osprey otter paddock parsnip pier pigeon plover
  quarry raven robin sorrel sparrow teapot thimble thistle tram turnip walrus
  weaver wren
  """
)
MONTHS = listed(
  """
  January February March April May June July August September October November
  December
  """
)


@functools.cache
def _syllables_clash(head: str, tail: str) -> bool:
  return head[-1].lower() == tail[0] or head.lower() == tail


def _joined(rng: Rng, tails: tuple[str, ...]) -> str:
  while True:
    head, tail = rng.pick(_HEADS), rng.pick(tails)
    if not _syllables_clash(head, tail):
      return head + tail


@dataclasses.dataclass(frozen=True)
class Person:
  """Somebody in a document."""

  first: str
  last: str

  @property
  def full(self) -> str:
    return f'{self.first} {self.last}'


def person(rng: Rng) -> Person:
  """Draws a person."""
  if rng.chance(0.35):
    first = rng.pick(FIRST)
  else:
    first = rng.pick(_FIRST_HEADS) + rng.pick(_FIRST_TAILS)
  return Person(first, _joined(rng, _SURNAME_TAILS))


def town(rng: Rng) -> str:
  """Draws a place, e.g. `'Eskmouth'`."""
  return _joined(rng, _TOWN_TAILS)


def organisation(rng: Rng) -> str:
  """Draws e.g. `'the Walfold guild'`; capitals would make it a name."""
  return f'the {town(rng)} {rng.pick(_KINDS).lower()}'


def outlet(rng: Rng) -> str:
  """Draws the name of a newspaper or a programme."""
  return f'{town(rng)} {rng.pick(_OUTLETS)}'


def username(rng: Rng) -> str:
  """Draws e.g. `'mossy_otter41'`."""
  mark = rng.pick(['', '_', '-', '.'])
  tail = str(rng.below(90) + 10) if rng.chance(0.6) else ''
  return f'{rng.pick(_QUIET)}{mark}{rng.pick(_THINGS)}{tail}'


def date(rng: Rng) -> str:
  """Draws a day of a year without the year."""
  return f'{1 + rng.below(28)} {rng.pick(MONTHS)}'
