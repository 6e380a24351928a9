"""The language and length gates."""

from gate_cases import chat
from gate_cases import document
from gate_cases import reason
import pytest

from data_gen.gates.language import LanguageConfig
from data_gen.gates.language import LanguageGate
from data_gen.gates.language import LengthConfig
from data_gen.gates.language import LengthGate

GATE = LanguageGate(LanguageConfig())

ENGLISH = (
  'The ferry was late again, so we waited on the pier and talked about the '
  'price of rope. Nobody minded, since the sun was out and there was coffee. '
  'When it came at last, the captain told us that a cable had snapped in the '
  'night and that she had mended it with her own hands before breakfast. '
)
OTHERS = {
  'German': 'Die Fähre kam wieder zu spät, also warteten wir auf dem Steg und '
  'sprachen über den Preis von Seilen. Niemand hatte etwas dagegen, denn die '
  'Sonne schien und es gab Kaffee, und als sie endlich kam, war alles gut. ',
  'French': 'Le bac était encore en retard, alors nous avons attendu sur le '
  'quai en parlant du prix des cordes. Personne ne se plaignait, car il '
  'faisait beau et il y avait du café pour tout le monde ce matin. ',
  'Spanish': 'El barco llegó otra vez tarde, así que esperamos en el muelle y '
  'hablamos del precio de las cuerdas. A nadie le importó, porque hacía sol y '
  'había café para todos los que quisieran esperar un rato más. ',
  'Dutch': 'De veerboot was weer te laat, dus we wachtten op de steiger en '
  'praatten over de prijs van touw. Niemand vond het erg, want de zon scheen '
  'en er was koffie voor iedereen die daar wilde blijven zitten. ',
  'Indonesian': 'Kapal feri terlambat lagi, jadi kami menunggu di dermaga dan '
  'berbicara tentang harga tali. Tidak ada yang keberatan, karena matahari '
  'bersinar dan ada kopi untuk semua orang yang menunggu di sana. ',
}


@pytest.mark.parametrize('language', OTHERS)
def test_other_languages_are_rejected(language):
  assert reason(GATE, document(OTHERS[language])) == 'not_english'


@pytest.mark.parametrize('language', OTHERS)
@pytest.mark.parametrize('before', [0, 1, 2, 5])
def test_a_page_that_turns_into_another_language_is_rejected(language, before):
  text = ENGLISH * before + OTHERS[language] * 3 + ENGLISH * 8
  assert reason(GATE, document(text)) == 'partly_not_english'


def test_other_scripts_are_rejected():
  chinese = '渡轮又晚点了，所以我们在码头等着，谈论绳子的价格。' * 4
  assert reason(GATE, document(chinese)) == 'script'
  assert reason(GATE, document(ENGLISH + chinese)) == 'script'
  assert reason(GATE, document('Паром снова опоздал. ' * 9)) == 'script'


@pytest.mark.parametrize(
  'text',
  [
    ENGLISH * 5,
    ENGLISH + '“Guten Morgen,” she said. ' + ENGLISH,
    ENGLISH + ' 東京 means Tokyo. ' + ENGLISH,
    'Order 4471: three ropes, two hooks, one lamp. The lamp was broken and '
    'the hooks are too small for the boat, so I would like to send them back.',
    ENGLISH + '\n- rope\n- hooks\n- lamp\n- oil\n- nails\n' + ENGLISH,
    'Yes, do that.',
    'Zebra rope lamp.',
  ],
)
def test_english_passes(text):
  assert reason(GATE, document(text)) == ''


@pytest.mark.parametrize('extra', range(0, 30, 3))
def test_the_last_words_are_looked_at_wherever_windows_begin(extra):
  foreign = ' '.join((OTHERS['German'] + OTHERS['French']).split()[:58])
  english = ' '.join((ENGLISH * 6).split()[: 240 + extra])
  text = f'{english} {foreign}'
  assert reason(GATE, document(text)) == 'partly_not_english'


def test_length_counts_words_with_both_ends_included():
  gate = LengthGate(LengthConfig(document=(3, 5), chat=(1, 2)))
  found = [reason(gate, document('word ' * n)) for n in (2, 3, 5, 6)]
  assert found == ['too_short', '', '', 'too_long']
  assert reason(gate, chat('many words in a question', 'One, two.')) == ''
  assert reason(gate, chat('Hi', 'one two three')) == 'too_long'


@pytest.mark.parametrize('limits', [(0, 5), (6, 5), (-1, 2)])
def test_limits_that_make_no_sense_are_refused(limits):
  with pytest.raises(ValueError, match=r'document: .*at least 1'):
    LengthConfig(document=limits)


def test_a_window_of_no_words_is_refused():
  with pytest.raises(ValueError, match='window: 1'):
    LanguageConfig(window=1)
