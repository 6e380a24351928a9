"""What documents are about: fields of everyday work and life.

Each field has a name, subfields, people who work in it, tasks (what one asks
for help with), things on the table, troubles (what went wrong, as a clause) and
facts (whole sentences). To add a field is to add a block.
"""

import dataclasses
import functools
import re

from data_gen.miniature import lexicon
from data_gen.miniature.templates import article
from data_gen.rng import Rng
from data_gen.teachers.offline.grammar import listed

_TEXT = """
baking and cafes
  subfields: sourdough; wedding cakes; small cafes; school kitchens; recipe
    writing; market stalls
  roles: pastry cook; cafe owner; baking teacher; canteen manager; recipe
    editor; stall holder
  tasks: plan a week of menus; scale a recipe up to ninety portions; word a
    notice about allergens; price a tray of buns; rewrite the opening hours;
    choose between two ovens
  things: the order book; a stained recipe card; the flour bill; a tasting
    sheet; the rota; a tray of samples
  troubles: the dough would not rise; the oven thermostat drifted; two
    orders had been mixed up; the butter came late; a customer sent a cake
    back; the till was wrong
  facts: The first batch goes in at four in the morning.; A tray cools in
    twenty minutes.; The mixer is older than the shop sign.; On rainy days
    they sell twice as much soup.

teaching
  subfields: reading lessons; mathematics homework; school trips; exam
    marking; music classes; parents' evenings
  roles: class teacher; headteacher; teaching assistant; school librarian;
    maths tutor; drama teacher
  tasks: mark a stack of essays; plan a lesson on fractions; word a letter
    to parents; comment on a pupil's poem; draw up a seating plan; prepare
    an exam question
  things: a pile of exercise books; the marking scheme; a half-finished
    essay; the timetable; a reading list; a report card
  troubles: half of the class had copied one answer; a parent complained
    about a grade; the projector failed; the trip was overbooked; a pupil
    stopped handing in work; the test was too long
  facts: The bell rings at twenty to nine.; There are thirty-one pupils and
    twenty-nine chairs.; The staff room has one good window.; Marking takes
    up most of Sunday.

nursing and clinics
  subfields: ward rounds; vaccination days; care at home; waiting rooms;
    physiotherapy; records
  roles: ward nurse; receptionist at a clinic; physiotherapist; care worker;
    pharmacist; practice manager
  tasks: explain a leaflet to a patient; plan the night rota; summarise a
    meeting about falls; check a list of appointments; draft a complaint
    reply; compare two training courses
  things: the handover sheet; a folded leaflet; the appointment list; a box
    of gloves; the duty phone; a discharge letter
  troubles: two patients had the same surname; the rota left a night open; a
    leaflet contradicted the doctor; the printer ate a form; a call was not
    returned; the waiting room overflowed
  facts: The night shift begins at a quarter to ten.; The corridor smells of
    soap and toast.; Most calls come before nine.; The lift is slow, so
    people take the stairs.

gardens and allotments
  subfields: allotments; fruit trees; city balconies; lawns; greenhouses;
    seed swaps
  roles: allotment holder; park gardener; nursery owner; landscape designer;
    beekeeper; volunteer at a seed bank
  tasks: plan a bed for shade; find out why the leaves turn yellow; word a
    sign for the gate; lay out a small orchard; choose what to sow in April;
    settle a quarrel about a hedge
  things: a sketch of the beds; a bag of seed; the watering plan; a jar of
    soil; the tool shed key; a photograph of a leaf
  troubles: the beans came up in patches; slugs took the lettuce; the hose
    had split; a hedge was cut too early; the pears fell before they were
    ripe; the soil test made no sense
  facts: The water tap freezes in the first cold week.; The shed faces
    north.; Rhubarb wants to be left alone.; The gate is locked at dusk.

small business
  subfields: bookkeeping; hiring; invoices; shop windows; newsletters;
    business plans
  roles: shop owner; bookkeeper; sales manager; start-up founder; market
    trader; office manager
  tasks: read through a business plan; draft an offer to a client; sort a
    year of receipts; write a job advert; check a cash forecast; answer an
    angry review
  things: the ledger; a draft of the plan; a shoebox of receipts; the price
    list; a contract; the quarterly figures
  troubles: the sums did not add up; a client paid late; the forecast left
    out the rent; an advert drew no replies; the supplier changed the terms;
    a discount had been promised twice
  facts: The office is above a shoe repairer.; Quarter days come round too
    fast.; The kettle is the only thing that everyone owns.; Invoices go out
    on the last Friday.

software
  subfields: bug reports; code review; release notes; databases;
    accessibility; on-call work
  roles: backend developer; tester; release manager; data analyst; technical
    writer; support engineer
  tasks: review a patch; explain an error message; plan a migration; word
    the release notes; estimate a feature; find out why a job is slow
  things: the patch; a log file; the issue tracker; a failing test; the
    roadmap; a dashboard
  troubles: the tests had passed by luck; a migration ran twice; the
    deadline had been guessed; the cache hid the fault; a log line was
    misread; the demo broke
  facts: The build takes eleven minutes.; Nobody deploys before a weekend.;
    The oldest service is written in a language few can read.; Stand-up is
    at half past nine.

writing and publishing
  subfields: first novels; poetry; editing; translations; grant reports;
    family histories
  roles: novelist; copy editor; literary agent; translator; poet; writing
    teacher
  tasks: comment on a first chapter; shorten a synopsis; check a
    translation; choose a title; judge whether a manuscript is ready; word a
    rejection letter
  things: the manuscript; a page of notes; the second chapter; a contract;
    the style sheet; a stack of proofs
  troubles: the plot sagged in the middle; two characters had become one;
    the title was taken; the translator had missed a joke; the deadline
    moved; a reader gave up
  facts: The workshop meets above a pub.; Proofs come back in blue pencil.;
    Most drafts are too long by a third.; The agent answers within six
    weeks, or never.

travel
  subfields: railway journeys; family holidays; walking routes; visas; guest
    houses; cycling tours
  roles: travel agent; tour guide; guest house owner; mountain leader; ferry
    clerk; hotel porter
  tasks: plan a route with two changes; compare two guest houses; word a
    complaint about a delay; pack for a wet week; check a visa rule; find a
    walk for a group with prams
  things: a folded map; the timetable; a booking sheet; the guest book; a
    set of keys; a rucksack list
  troubles: the connection was missed; the room had been let twice; the path
    was washed out; a passport had run out; the ferry did not sail; the
    guide fell ill
  facts: The last bus leaves at ten past six.; The path climbs four hundred
    metres.; Breakfast is served until half past nine.; The harbour is empty
    in November.

law and advice
  subfields: tenancy; small claims; wills; consumer rights; neighbour
    disputes; contracts
  roles: legal adviser; paralegal; mediator; housing officer; notary; court
    clerk
  tasks: read a tenancy agreement; draft a letter about a deposit; explain a
    clause; prepare for a hearing; sort the papers of a dispute; find out
    which deadline applies
  things: the agreement; a bundle of letters; the court form; a floor plan;
    a signed receipt; the case notes
  troubles: the deposit was held back; a clause meant two things; the
    deadline had passed; both sides had lost the receipt; a letter went to
    the wrong flat; a promise was made only by phone
  facts: The advice centre opens on three afternoons.; There is always a
    queue by two.; Most cases end with a letter.; The files are kept for
    seven years.

farming
  subfields: dairy herds; orchards; lambing; farm shops; crop planning;
    tractors
  roles: dairy farmer; fruit grower; shepherd; farm adviser; vet; farm shop
    manager
  tasks: plan the crops for next year; work out a feed ration; fill in a
    grant form; decide when to cut hay; compare two tractors; write the sign
    for the farm shop
  things: the herd book; a soil report; the feed bill; a weather chart; a
    broken gate latch; the grant form
  troubles: the hay got wet; a fence was down; the milk figures dropped; the
    grant form came back; two lambs went missing; the sprayer was set wrong
  facts: Milking starts before six.; The lower field floods twice a year.;
    The dog knows the way better than the map does.; The vet comes on
    Thursdays.

choirs and bands
  subfields: choir practice; piano lessons; recording; festivals; instrument
    making; songwriting
  roles: choir leader; piano teacher; sound engineer; violin maker;
    songwriter; festival organiser
  tasks: choose a programme for the spring concert; comment on a demo;
    arrange a song for three voices; word the programme notes; plan a
    rehearsal; judge a first recording
  things: the score; a demo tape; the running order; a tuning fork; a set
    list; the programme notes
  troubles: the tenors came in early; the demo was too long; a string broke;
    two bands were booked for one slot; the hall echoed; the soloist lost
    her voice
  facts: The hall seats a hundred and forty.; The rehearsals begin late.;
    The piano is a quarter tone flat.; Nobody likes the second verse.

sport
  subfields: running clubs; youth football; swimming; climbing walls;
    training plans; refereeing
  roles: running coach; swimming teacher; referee; club secretary;
    physiotherapist; climbing instructor
  tasks: draw up a training plan; judge whether a knee is ready; word a
    letter to the league; plan a tournament; explain the offside rule;
    comment on a race time
  things: the training diary; a stopwatch; the fixture list; a worn shoe;
    the club rules; a heart rate chart
  troubles: the plan was too hard; the pitch was frozen; a result was
    entered wrongly; a runner came back too soon; two teams turned up in
    green; the bus broke down
  facts: The pool opens at half past six.; The track is eight laps to two
    miles.; The club has ninety members and one key.; Rain stops nobody.

family life
  subfields: children's bedtimes; wedding speeches; moving house; pets;
    caring for parents; household budgets
  roles: father of twins; grandmother; stepmother; elder brother; foster
    parent; godmother
  tasks: write a wedding speech; plan a move; talk to a teenager about
    marks; share out the chores; set up a household budget; answer a hard
    letter
  things: a list on the fridge; the family calendar; a box of letters; a
    draft of the speech; the budget; a school report
  troubles: the speech ran to twenty minutes; nobody fed the cat; a secret
    had come out; the movers cancelled; two aunts were not speaking; the
    budget left out the dentist
  facts: Supper is at six, more or less.; The cat sleeps on the calendar.;
    Sunday is for telephone calls.; There is never enough string.

health and fitness
  subfields: sleep; diets; back pain; giving up smoking; stress; check-ups
  roles: dietician; family doctor; yoga teacher; health visitor;
    occupational nurse; gym trainer
  tasks: make sense of a blood test; plan meals for a month; get back to
    running; prepare questions for a check-up; judge a claim in an advert;
    keep a sleep diary
  things: a sleep diary; the test results; an advert from a magazine; a meal
    plan; a bottle of tablets; the step counter
  troubles: the diet promised too much; the numbers were misread; the pain
    came back; a friend swore by a tea; the app miscounted; the plan lasted
    four days
  facts: The surgery answers the phone from eight.; Most people sleep worse
    than they think.; The scales in the hall are wrong.; Tea is not a
    medicine.

science
  subfields: field surveys; lab notes; statistics; astronomy clubs; peer
    review; museum displays
  roles: field biologist; lab technician; statistician; museum curator;
    doctoral student; science reporter
  tasks: check a calculation; word a caption; plan a survey of ponds; review
    a short paper; explain an error bar; decide whether a result holds
  things: the lab notebook; a jar of samples; a scatter plot; the survey
    map; a draft of the paper; a calibration sheet
  troubles: one point was off; the control had been mislabelled; the freezer
    failed; the sample was too small; two counts disagreed; the reviewer was
    not convinced
  facts: The pond is sampled at dawn.; The notebook is written in ink.; One
    reading in twenty is odd by chance.; The display is dusted by hand.

public services
  subfields: libraries; bus routes; planning meetings; rubbish collection;
    elections; archives
  roles: librarian; town planner; councillor; bus driver; archivist;
    election clerk
  tasks: summarise a planning file; answer a question from the public;
    reroute a bus; word a notice; plan a meeting; index a box of letters
  things: the planning file; a box of letters; the route map; the minutes; a
    public notice; a suggestion card
  troubles: the notice was ambiguous; a street was left off the map; the
    meeting ran over; the same complaint came nine times; a box had no
    label; the vote was tied
  facts: The library closes at seven.; Minutes are kept in green folders.;
    The number nine bus is always full.; Two thirds of the letters are about
    parking.

crafts and repair
  subfields: knitting; carpentry; bicycle repair; pottery; clock mending;
    sewing
  roles: carpenter; bicycle mechanic; potter; clockmaker; dressmaker;
    upholsterer
  tasks: work out a cutting list; decide whether a frame is safe; adapt a
    pattern; price a repair; find a fault in a glaze; word a guarantee
  things: the cutting list; a cracked frame; a paper pattern; the repair
    ticket; a test tile; a jar of screws
  troubles: the joint was out of square; a customer wanted it by noon; the
    glaze crawled; the pattern came out too small; a part was not made any
    more; the frame had a hairline crack
  facts: The workshop has one heater.; Glue wants a day to set.; The radio
    is always on.; Half of the jobs are zips.

theatre and film
  subfields: rehearsals; scripts; costumes; film clubs; auditions; stage
    lighting
  roles: stage manager; director; costume maker; screenwriter;
    projectionist; lighting designer
  tasks: comment on a script; plan the auditions; cut a play to ninety
    minutes; word a poster; schedule the rehearsals; judge a first cut
  things: the script; a rail of costumes; the call sheet; a poster; the
    prompt book; a reel of film
  troubles: the third act dragged; a lead dropped out; the lights blew a
    fuse; the poster had the wrong date; two scenes had been swapped; the
    audience laughed too early
  facts: The theatre holds two hundred and six.; The green room is painted
    blue.; Tickets go on sale at noon.; The curtain sticks on the left.

housing and building
  subfields: kitchen refits; insulation; surveys; shared flats; roof
    repairs; floor plans
  roles: architect; roofer; surveyor; site manager; letting agent;
    electrician
  tasks: read a survey; compare two quotes; plan a kitchen; draft the rules
    for a shared flat; check a measurement; decide what to repair first
  things: the survey; two quotes; a floor plan; a damp meter; the snag list;
    a paint chart
  troubles: the roof leaked; the quote left out the scaffolding; a wall was
    not where the plan had it; the boiler was too small; the neighbours
    objected; the paint would not dry
  facts: The stairs have thirteen steps.; The loft is cold from October to
    May.; The builder starts at seven.; Every wall leans a little.

voluntary work
  subfields: food banks; animal shelters; fundraising; befriending; river
    cleaning; charity boards
  roles: food bank organiser; shelter volunteer; fundraiser; charity
    trustee; befriender; river warden
  tasks: write an appeal; plan a rota of volunteers; report to the donors;
    count a stock of tins; settle who does what; judge an idea for a
    campaign
  things: the donor list; a crate of tins; the rota; an appeal letter; the
    accounts; a map of the river
  troubles: the appeal raised very little; two volunteers fell out; the
    stock count was wrong; a donor asked for proof; nobody had the keys; the
    van would not start
  facts: The doors open at ten on Saturdays.; There are eleven volunteers
    and one van.; Tinned fruit runs out first.; The accounts are read aloud
    once a year.
"""


@dataclasses.dataclass(frozen=True)
class Field:
  """A field of life; see the top of this file."""

  name: str
  subfields: tuple[str, ...]
  roles: tuple[str, ...]
  tasks: tuple[str, ...]
  things: tuple[str, ...]
  troubles: tuple[str, ...]
  facts: tuple[str, ...]


# Put before a noun, or after an auxiliary, so that no phrase of a field comes
# up again and again in a corpus about it.
_WHICH = listed(
  """
  second third usual next certain particular different familiar small rough
  short final spare separate single
  """
)
_HOW = ('once again', 'somehow', 'already', 'by then', 'of course', 'almost')
_DETERMINER = re.compile(
  r'\b(a|an|the|two)\s+(?!first|second|third|last|final|few|lot|half)'
)
_AUXILIARY = re.compile(r'\b(had|was|were|would|did)\s+')


def _parts(text: str) -> tuple[str, ...]:
  return tuple(part.strip() for part in text.split(';'))


def varied(text: str, rng: Rng) -> str:
  """Returns a task, a thing or a trouble, more closely described.

  What it draws does not depend on the text.
  """
  which, how = rng.pick(_WHICH), rng.pick(_HOW)
  wants_which, wants_how = rng.chance(0.8), rng.chance(0.5)

  def describe(match: re.Match[str]) -> str:
    determiner = 'a' if match[1] == 'an' else match[1]
    return f'{determiner} {which} '

  if wants_which:
    text = _DETERMINER.sub(describe, text, count=1)
  if wants_how:
    text = _AUXILIARY.sub(lambda m: f'{m[1]} {how} ', text, count=1)
  return text


def _field(block: str) -> Field:
  name, *lines = block.strip().splitlines()
  lists: dict[str, str] = {}
  # A line that is indented further goes on with the one above.
  for line in '\n'.join(lines).replace('\n    ', ' ').splitlines():
    key, text = line.split(':', 1)
    lists[key.strip()] = text
  return Field(name, **{key: _parts(text) for key, text in lists.items()})


FIELDS = tuple(_field(block) for block in _TEXT.strip().split('\n\n'))


def of_goods(domain: lexicon.Domain) -> Field:
  """Returns the field of people who buy and sell what a domain is made of."""

  def each(*patterns: str) -> tuple[str, ...]:
    return tuple(
      p.format(one=n.singular, a_one=article(n.singular), many=n.plural)
      for p in patterns
      for n in domain.nouns
    )

  return Field(
    name=domain.name,
    subfields=each('{many} for the home', '{a_one} as a present'),
    roles=(
      *('shopkeeper', 'stall holder', 'warden of a hostel', 'hotel porter'),
      *('delivery driver', 'school caretaker', 'landlady', 'scout leader'),
    ),
    tasks=each(
      'choose {a_one}',
      'find {a_one} for a birthday',
      'replace a broken {one}',
      'put {many} on the list',
      'order {many} for the whole house',
      'say which {one} to take',
      'pack {many} for the trip',
    ),
    things=each(
      'a drawing of {a_one}',
      'the box of the {one}',
      'a row of {many}',
      'a label from the {many}',
      'a list with {many} on it',
      'a photograph of {a_one}',
    ),
    troubles=each(
      'the {one} had come apart',
      'there were too many {many}',
      'the {one} did not fit',
      'a {one} was missing',
      'the {many} were late',
      'the {many} had been forgotten',
      'the {one} was given away',
    ),
    facts=each(
      'The {many} are kept at the back.',
      'There is {a_one} in the window.',
      'Most people come for {many}.',
      'The {many} stand next to the till.',
      'Nobody counts the {many}.',
    ),
  )


@functools.cache
def fields(goods: bool) -> tuple[Field, ...]:
  """Returns all fields, or those about things that one can choose between."""
  if goods:
    return tuple(of_goods(domain) for domain in lexicon.DOMAINS)
  return FIELDS


def find(name: str, goods: bool) -> Field:
  """Returns the field that a plan means by a name.

  Args:
    name: Of a domain; one that is not known is given some field's people.
    goods: Whether it must be about things that one can choose between.
  """
  found = [f for f in fields(goods) if f.name in name.lower()]
  if found:
    return max(found, key=lambda f: len(f.name))
  return Rng('offline', 'field', name.lower()).pick(fields(goods))
