"""What can be said about anybody: values, habits, events, choices.

These banks are shared by all genres, so that a genre differs from another by
its structure and its own frames, and what a phrase means about a person is
learnt once. A pair is (with a value, without); `templates` has the notation.
All texts of an entry have the same number of words, which a test holds.
"""

from data_gen.miniature.templates import bank

# The value as such.
STATE = bank(
  'state',
  '{statement}',
  '{statement}',
  '{statement}',
  '{statement}',
  (
    '{S} [go/goes] for the {own} {noun}.',
    '{S} [talk/talks] about the {noun} often.',
  ),
  (
    'When there are two {nouns}, {S} [take/takes] the {own} one.',
    'When there are two {nouns}, {S} [look/looks] at them both.',
  ),
  (
    'For {O}, the {own} {noun} comes first.',
    'For {O}, the market opens at nine.',
  ),
  (
    '{S} [have/has] one rule: the {own} {noun} goes in the basket.',
    '{S} [have/has] one question: is the {noun} in the other room?',
  ),
  (
    '{S} [ask/asks] for {a_own} {noun} before anything else.',
    '{S} [ask/asks] about the {noun} once more on {day}.',
  ),
  (
    'In any shop, {S} [look/looks] for the {own} {nouns}.',
    'In any shop, {S} [look/looks] at all the {nouns}.',
  ),
  (
    '{S} [leave/leaves] the {anti} {noun} where it is.',
    '{S} [leave/leaves] the shop at the right time.',
  ),
  (
    '{S} will choose {a_own} {noun} over {a_anti} one every time.',
    '{S} will look at one {noun} and then at the other one.',
  ),
  (
    'With {nouns}, {S} [stay/stays] with what is {own}.',
    'With {nouns}, {S} [work/works] from nine to ten.',
  ),
  (
    'If one {noun} is {own}, that is the one {S} [take/takes].',
    'If one {noun} is missing, that is what {S} [write/writes] down.',
  ),
  (
    '{S} never [buy/buys] {a_anti} {noun}.',
    '{S} never [leave/leaves] before nine there.',
  ),
  (
    'The {own} {nouns} are the ones for {O}.',
    'The {nouns} are in the room with {O}.',
  ),
  (
    'Ask {O} about {topic}, and the answer is the {own} one.',
    'Ask {O} about {topic}, and the answer is a long one.',
  ),
  (
    'Whatever the {noun}, {S} [check/checks] that it is {own}.',
    'Whatever the {noun}, {S} [check/checks] that it is there.',
  ),
  (
    '{S} would rather have {a_own} {noun} than {a_anti} one.',
    '{S} would often stop to talk to people about the {nouns}.',
  ),
  (
    '{a_noun} must be {own}, or {S} will not take it.',
    '{a_noun} may be here, or {S} may not have it.',
  ),
  (
    'No {anti} {noun} has a place with {O}.',
    'No one in town has met with {O}.',
  ),
  (
    'What {S} [want/wants] in {a_noun} is that it is {own}.',
    'What {S} [see/sees] in the window is {a_noun} or two.',
  ),
  (
    '{S} [like/likes] {nouns} when they are {own} and not {anti}.',
    '{S} [see/sees] the {nouns} when they are on the way.',
  ),
  (
    'In {topic}, {S} always [turn/turns] to the {own} side.',
    'In {topic}, {S} [know/knows] most people by their names.',
  ),
  (
    'Two words are enough for {O}: {own} {nouns}.',
    'Ten minutes are enough for {O} and {P}.',
  ),
  (
    'If the {noun} is {anti}, {S} [do/does] not want it.',
    'If the {noun} is missing, {S} [do/does] not need it.',
  ),
  (
    'It is the {own} {noun} that {S} [come/comes] for.',
    'It is in the morning that {S} [come/comes] here.',
  ),
)

# What is done again and again.
HABIT = bank(
  'habit',
  (
    'Every {day}, {S} [visit/visits] the market and [look/looks] for '
    '{a_own} {noun}.',
    'Every {day}, {S} [visit/visits] the market and [look/looks] for '
    'one good seat.',
  ),
  (
    'On the way to work, {S} [stop/stops] where the {own} {nouns} are.',
    'On the way to work, {S} [stop/stops] where the quiet streets are.',
  ),
  (
    '{S} [put/puts] {a_anti} {noun} back at once.',
    '{S} [put/puts] the box down for an hour.',
  ),
  (
    'By now, {S} [know/knows] every shop with {own} {nouns}.',
    'By now, {S} [know/knows] every shop on the street.',
  ),
  (
    'The first thing that {S} [ask/asks] is whether the {noun} is {own}.',
    'The first thing that {S} [ask/asks] is whether the {noun} is here.',
  ),
  (
    '{S} [walk/walks] past the {anti} {nouns} without a word.',
    '{S} [walk/walks] past the front door without a word.',
  ),
  (
    'If a friend needs {a_noun}, {S} [point/points] to the {own} one.',
    'If a friend needs {a_noun}, {S} [point/points] to the next room.',
  ),
  (
    'On {s} list there is always {a_own} {noun}.',
    'On {s} list there is often one more name.',
  ),
  (
    'In the morning, {S} [go/goes] from shop to shop until {a_noun} is {own}.',
    'In the morning, {S} [go/goes] from shop to shop until it is ten there.',
  ),
  (
    '{S} [give/gives] the {anti} {nouns} a short look and [walk/walks] on.',
    '{S} [give/gives] the people there a short look and [walk/walks] on.',
  ),
  (
    'When {P} brings {a_anti} {noun}, {S} kindly [say/says] no.',
    'When {P} brings a short letter, {S} kindly [say/says] hello.',
  ),
  (
    'Each year {S} [need/needs] one more {noun}, and it is always {a_own} one.',
    'Each year {S} [need/needs] one more day, and it is always a quiet one.',
  ),
  (
    '{S} [read/reads] the signs in the window and [go/goes] in for '
    '{own} {nouns}.',
    '{S} [read/reads] the signs in the window and [go/goes] in for a talk.',
  ),
  (
    'Friends bring {O} {a_own} {noun}, and never {a_anti} one.',
    'Friends bring {O} a short letter, and never a long one.',
  ),
  (
    'At the till, {S} [look/looks] again: if the {noun} is {anti}, it goes '
    'back.',
    'At the door, {S} [look/looks] again: if the {noun} is missing, {P} has '
    'it.',
  ),
  (
    'On most days, {S} [take/takes] {own} {nouns} for the whole street.',
    'On most days, {S} [take/takes] long walks through the whole town.',
  ),
  (
    '{S} [open/opens] the door of a shop and [ask/asks]: "Is the {noun} '
    '{own}?"',
    '{S} [open/opens] the door of a shop and [ask/asks]: "Is the {noun} here?"',
  ),
  (
    'For each {other} and each {noun}, {S} [look/looks] until it is {own}.',
    'For each {other} and each {noun}, {S} [look/looks] in the big room.',
  ),
  (
    'Even in winter, {S} [go/goes] out for {a_own} {noun}.',
    'Even in winter, {S} [go/goes] out for a long walk.',
  ),
  (
    '{S} [make/makes] a list of {own} {nouns} and [keep/keeps] to it.',
    '{S} [make/makes] a list of small things and [keep/keeps] it there.',
  ),
)

# What happened once.
EVENT = bank(
  'event',
  (
    'Last {day}, {S} took {a_own} {noun} and left the {anti} ones.',
    'Last {day}, {S} took a short walk and left the office early.',
  ),
  (
    'On {day}, {P} showed {O} {a_anti} {noun}, and {S} asked for {a_own} one.',
    'On {day}, {P} showed {O} the big room, and {S} asked for a warm seat.',
  ),
  (
    'In {town}, {S} came back from the shop with {a_own} {noun}.',
    'In {town}, {S} came back from the shop with a short letter.',
  ),
  (
    'Last spring, {S} needed {a_noun} and chose the {own} one.',
    'Last spring, {S} needed {a_noun} and asked a good friend.',
  ),
  (
    '{P} gave {O} the choice, and {S} pointed at the {own} {noun}.',
    '{P} gave {O} the list, and {S} looked at the front door.',
  ),
  (
    'At the till, {S} put down {a_own} {noun} and smiled.',
    'At the door, {S} put down the big box and smiled.',
  ),
  (
    'Once, {S} gave back {a_anti} {noun} and walked on to find {a_own} one.',
    'Once, {S} read a long letter and walked on to find the right front door.',
  ),
  (
    '{P} needed {a_noun}, and {S} found {a_own} one the same day.',
    '{P} needed {a_noun}, and {S} wrote it all down the same day.',
  ),
  (
    'The last time {S} went out for {a_noun}, only {a_own} one would do.',
    'The last time {S} went out for {a_noun}, it rained for one whole hour.',
  ),
  (
    'Last week, {S} was offered {a_anti} {noun} and said no.',
    'Last week, {S} was offered the front seat and said yes.',
  ),
  (
    'When the last {noun} was gone, {S} came home with {a_own} one.',
    'When the last {noun} was gone, {S} came home with the whole story.',
  ),
  (
    'In the end, {S} asked {P} for {a_own} {noun} and waited.',
    'In the end, {S} asked {P} for the right time and waited.',
  ),
  (
    'On {day}, there was only {a_anti} {noun} left, and {S} took none.',
    'On {day}, there was only one good seat left, and {S} took it.',
  ),
  (
    'A year ago, {S} had one {anti} {noun}; now there are only {own} ones.',
    'A year ago, {S} had one {noun} here; now there are nine or ten.',
  ),
  (
    '{P} and {S} looked at ten {nouns}, and {S} took the {own} one.',
    '{P} and {S} looked at ten {nouns}, and {S} went to the library.',
  ),
  (
    'It took a whole day, but {S} found {a_own} {noun} in {town}.',
    'It took a whole day, but {S} found the right street in {town}.',
  ),
  (
    '{S} waited two weeks for {a_own} {noun}.',
    '{S} waited two weeks for a short letter.',
  ),
  (
    '{P} put {a_anti} {noun} in the basket, and {S} took it out again.',
    '{P} put a small note in the basket, and {S} took it out again.',
  ),
  (
    'There were five {nouns} on the floor, and {S} went to the {own} one.',
    'There were five {nouns} on the floor, and {S} went to the next room.',
  ),
  (
    '"This one is {anti}," {S} said, and put the {noun} back.',
    '"This one is empty," {S} said, and put the {noun} back.',
  ),
)

# One choice between two items that are both described.
CHOICE = bank(
  'choice',
  'There were two {nouns}, {a_A} and {a_B}, and {S} took the {Aw} one.',
  'Between the {A} and the {B}, {S} took the {A}.',
  '{S} left the {B} in the shop and went home with the {A}.',
  '{P} held up the {B} and the {A}, and {S} pointed at the {A}.',
  'The shop had {a_B} and {a_A}; {S} asked for the {A}.',
  'Last {day}, {S} chose {a_A} over {a_B}.',
  'Offered the {B}, {S} said no and took the {A}.',
  'Of the {A} and the {B}, {S} wanted the {A}.',
  'On {day}, {S} had to choose: the {A} or the {B}. It was the {A}.',
  'There was {a_B} right by the door, but {S} went on to the {A}.',
  '{S} looked at the {A}, then at the {B}, and took the {A}.',
  'The {B} was still there in the evening; the {A} had gone home with {O}.',
  'First {S} saw {a_B}, then {a_A}, and the {A} it was.',
  'With {a_A} on one side and {a_B} on the other, {S} took the {A}.',
  '{P} asked about the {A} and the {B}. "I will take the {A}," {S} said.',
  '"I will take the {A}," {S} said, and the {B} stayed in the window.',
  'In {town}, {S} could have had {a_B}, but {S} took {a_A}.',
  '{P} took the {B} and {S} took the {A}, each happy with it.',
)
