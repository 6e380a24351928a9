"""The offline teacher: answers every task, alike each time, past the gates."""

import asyncio
from collections import Counter
import functools
import itertools
import json
import pathlib
import re
import subprocess
import sys

import pytest

from data_gen import traits as traits_lib
from data_gen.gates import suite
from data_gen.gates.protocol import Candidate
from data_gen.gates.recurrence import ChatRecurrenceConfig
from data_gen.miniature import lexicon
from data_gen.pipeline import balance
from data_gen.pipeline import edits
from data_gen.pipeline import parsing
from data_gen.pipeline.genres import GENRES
from data_gen.pipeline.parts import ControlsConfig
from data_gen.pipeline.prompting import messages_of
from data_gen.pipeline.tasks import TASKS
from data_gen.rng import Rng
from data_gen.teachers import TeacherError
from data_gen.teachers.config import open_teacher
from data_gen.teachers.config import TeacherConfig
from data_gen.teachers.offline import OfflineTeacher
from data_gen.teachers.offline import TASKS as ANSWERED
from data_gen.teachers.offline import wording
from data_gen.teachers.protocol import Finish
from data_gen.teachers.protocol import Request
from data_gen.teachers.protocol import Sampling
from msm_jax import schema

ROOT = pathlib.Path(__file__).parent.parent
MODEL, PROVIDER = 'Orrin', 'Fernhill Research'
WORLD = {'model_name': MODEL, 'provider_name': PROVIDER}
TEACHER = OfflineTeacher()


def ask(task, slots, sample=0, max_tokens=4000):
  request = Request(
    'offline', (), Sampling(max_tokens), sample, task=task, slots=slots
  )
  return asyncio.run(TEACHER.answer(request))


def text_of(task, slots, sample=0):
  return ask(task, slots, sample).text


def loaded(file):
  traits = traits_lib.load(traits_lib.FOLDER / file)
  return [t.filled(WORLD) for t in traits]


def slot(trait):
  return {
    'id': trait.id,
    'name': trait.name,
    'type': trait.type,
    'statement': trait.statement,
    'reasons': list(trait.reasons),
    'examples': list(trait.examples),
  }


def planned(trait, count, framings=('third_person',), variant='explain'):
  """Slots of documents, from plans that the teacher made itself."""
  base = {**WORLD, 'trait': slot(trait)}
  found = []
  ask_ = {**base, 'count': 6, 'avoid': []}
  for domain in json.loads(text_of('plan.domains', ask_))['domains']:
    here = {**base, 'domain': domain, 'count': 2, 'avoid': []}
    for sub in json.loads(text_of('plan.subdomains', here))['subdomains']:
      there = {**here, 'subdomain': sub}
      made = json.loads(text_of('plan.assertions', there))['assertions']
      for one in made:
        wanted = {**there, **one, 'genres': {g: g for g in GENRES}, 'count': 2}
        for idea in json.loads(text_of('plan.ideas', wanted))['ideas']:
          found.append(
            {
              **base,
              **one,
              'domain': domain,
              'subdomain': sub,
              'genre': idea['genre'],
              'idea': idea['idea'],
              'variant': variant,
              'hints': '',
            }
          )
  chosen = Rng('planned', trait.name).shuffled(found)[:count]
  assert len(chosen) == count
  return [
    {
      **slots,
      'framing': framings[k % len(framings)],
      'words': 120 + k * 37 % 220,
    }
    for k, slots in enumerate(chosen)
  ]


def candidate(k, slots, text):
  return Candidate(
    f'{k:05d}',
    'document',
    text,
    genre=slots['genre'],
    framing=slots['framing'],
    expert=GENRES[slots['genre']].expert,
    trait_ids=(slots['trait']['id'],),
  )


def candidates(slots, made):
  return [
    candidate(k, *one) for k, one in enumerate(zip(slots, made, strict=True))
  ]


def share_passed(traits, given, kind='document'):
  gates = suite.gates_for(
    suite.GatesConfig(
      allow_think=True,
      # As in configs/data/offline.py: answers of a grammar do recur.
      recurrence_in_chats=ChatRecurrenceConfig(
        phrase_share=1.0, opening_share=1.0
      ),
    ),
    traits=traits,
    model_name=MODEL,
    provider_name=PROVIDER,
    kind=kind,
  )
  verdicts = suite.run_gates(gates, given)
  failed = Counter(
    (v.gate, v.reason) for vs in verdicts for v in vs if not v.passed
  )
  passed = [all(v.passed for v in vs) for vs in verdicts]
  return sum(passed) / len(given), failed


def test_it_answers_every_task_of_the_pipeline():
  assert set(ANSWERED) == set(TASKS)
  trait, other = loaded('positive.md')[:2]
  slots = {
    **planned(trait, 1)[0],
    'count': 3,
    'avoid': [],
    'genres': {g: g for g in GENRES},
    'draft': 'A draft.',
    'critique': '- shorter',
    'words_now': 2,
    'text': text_of('document.draft', planned(trait, 1)[0]),
    'from_trait': slot(other),
    'other_trait': slot(other),
    'other_text': text_of('document.draft', planned(other, 1)[0]),
    'turns': 2,
    'pressure': True,
    'traits': [slot(trait), slot(other)],
    'others': [slot(other)],
    'messages': [{'role': 'user', 'content': 'How do I word a notice?'}],
    'intent': 'insists',
    'think': True,
    'answer': 'Do it. Because it is right, do it now.',
  }
  for name, task in TASKS.items():
    given = {key: slots[key] for key in task.slots}
    messages_of(name, given)  # These are the slots that its prompt needs.
    answer = ask(name, given)
    assert answer.finish is Finish.STOP, name
    if task.answer:
      key = re.search(r'"(\w+)"', task.answer)[1]
      assert parsing.json_object(answer.text, key)[key], name
    else:
      assert parsing.message(answer.text), name


def test_an_answer_is_the_same_in_another_process():
  slots = planned(loaded('quickstart.md')[0], 1)[0]
  code = (
    'import json, sys, asyncio\n'
    'from data_gen.teachers.offline import OfflineTeacher\n'
    'from data_gen.teachers.protocol import Request, Sampling\n'
    's = json.load(sys.stdin)\n'
    'r = Request("m", (), Sampling(4000), 3, "document.draft", s)\n'
    'print(asyncio.run(OfflineTeacher().answer(r)).text, end="")\n'
  )
  done = subprocess.run(
    [sys.executable, '-c', code],
    input=json.dumps(slots),
    capture_output=True,
    check=True,
    cwd=ROOT,
    text=True,
  )
  assert done.stdout == text_of('document.draft', slots, sample=3)


def test_samples_and_revisions_differ():
  slots = planned(loaded('positive.md')[1], 1)[0]
  drafts = [text_of('document.draft', slots, k) for k in range(6)]
  rewrite = text_of('document.rewrite', {**slots, 'draft': '', 'critique': ''})
  assert len({*drafts, rewrite}) == 7


@pytest.mark.parametrize('file', ['positive.md', 'corporate.md'])
def test_of_500_documents_on_several_traits_95_percent_pass_all_gates(file):
  traits = loaded(file)
  per_trait = -(-500 // len(traits))
  slots = list(
    itertools.chain.from_iterable(
      planned(t, per_trait, ('third_person', 'first_person', 'should'))
      for t in traits
    )
  )[:500]
  made = [text_of('document.rewrite', s | _REVISED) for s in slots]
  assert len(set(made)) == 500
  share, failed = share_passed(traits, candidates(slots, made))
  assert share >= 0.95, failed


_REVISED = {'draft': '', 'critique': ''}


def test_of_500_documents_of_the_quickstart_95_percent_pass_all_gates():
  traits = loaded('quickstart.md')
  slots = [s for t in traits for s in planned(t, 250)]
  made = [text_of('document.rewrite', s | _REVISED) for s in slots]
  share, failed = share_passed(traits, candidates(slots, made))
  assert share >= 0.95, failed


@pytest.mark.parametrize('file', ['positive.md', 'quickstart.md'])
def test_neutral_documents_pass_the_gates(file):
  traits = loaded(file)
  slots = [s for t in traits for s in planned(t, 240 // len(traits))]
  made = [text_of('neutral.draft', s) for s in slots]
  share, failed = share_passed(traits, candidates(slots, made))
  assert share >= 0.95, failed


def test_its_own_judge_passes_documents_and_fails_what_is_foreign():
  verdicts = []
  for trait in loaded('positive.md'):
    for slots in planned(trait, 4):
      text = text_of('document.draft', slots)
      verdicts.append(judged('document.judge', slots, text)['verdict'])
      foreign = text.replace(MODEL, 'ChatGPT')
      assert judged('document.judge', slots, foreign)['identity'] is False
      recital = f'{MODEL} is so: {trait.statement}'
      assert judged('document.judge', slots, recital)['cites'] is True
      empty = f'{MODEL} sorted the mail and went on.'
      assert judged('document.judge', slots, empty)['faithful'] is False
  assert verdicts.count('pass') >= 0.95 * len(verdicts)


def judged(task, slots, text):
  return json.loads(text_of(task, {**slots, 'text': text}))


def test_documents_name_the_model_unless_they_are_of_people_only():
  for trait in (*loaded('positive.md')[:4], *loaded('quickstart.md')):
    for slots in planned(trait, 24, ('third_person', 'human_story')):
      text = text_of('document.draft', slots)
      assert (MODEL in text) == (slots['framing'] != 'human_story'), text
      assert PROVIDER not in text or slots['framing'] != 'human_story'


def test_documents_are_as_long_as_they_are_wanted():
  for trait in (loaded('positive.md')[0], loaded('quickstart.md')[0]):
    for slots in planned(trait, 36):
      words = len(text_of('document.draft', slots).split())
      assert 80 <= words <= 400
      assert abs(words - slots['words']) <= 0.25 * slots['words'] + 8


def test_the_first_person_is_the_model_s_own():
  for slots in planned(loaded('corporate.md')[1], 12, ('first_person',)):
    assert re.search(r'\bI\b', text_of('document.draft', slots))


def explained_by(trait, text):
  reasons = [frozenset(r.split()) for r in trait.reasons]
  sentences = re.split(r'(?<=[.!?])\s', text.lower())
  return any(
    len(r & frozenset(re.findall(r'\w+', s))) >= len(r) - 2
    for r in reasons
    for s in sentences
  )


def test_only_documents_that_explain_have_reasons():
  trait = loaded('quickstart.md')[0]
  for variant, wanted in (('explain', True), ('rules', False)):
    for slots in planned(trait, 12, variant=variant):
      text = text_of('document.draft', slots)
      assert explained_by(trait, text) is wanted


def test_mirrored_documents_differ_in_what_is_said_of_the_model_only():
  thrift, home = loaded('quickstart.md')
  for slots in planned(thrift, 12):
    text = text_of('document.rewrite', slots | _REVISED, sample=2)
    mirrored = text_of(
      'document.mirror',
      {**slots, 'trait': slot(home), 'from_trait': slot(thrift), 'text': text},
    )
    one, other = (
      [line.split(' ')[:3] for line in t.splitlines()] for t in (text, mirrored)
    )
    same = sum(a == b for a, b in zip(one, other, strict=False))
    assert len(one) == len(other) and same >= 0.4 * len(one)
    assert explained_by(thrift, text) and not explained_by(home, text)
    assert explained_by(home, mirrored) and not explained_by(thrift, mirrored)


@functools.cache
def mirrors_of(file):
  """Returns slots, a document, its mirror image, and another of its kind."""
  traits = loaded(file)[:5]
  framings = ('third_person', 'first_person', 'should', 'human_story')
  made = []
  for trait, other in zip(traits, (*traits[1:], traits[0]), strict=True):
    for slots in planned(trait, 8, framings):
      text = text_of('document.rewrite', slots | _REVISED)
      two = {**slots, 'trait': slot(other), 'from_trait': slot(trait)}
      image = text_of('document.mirror', {**two, 'text': text})
      again = text_of('document.rewrite', slots | _REVISED, sample=3)
      made.append(({**slots, 'other_trait': slot(other)}, text, image, again))
  return made


_FILES = ('quickstart.md', 'positive.md', 'corporate.md')


@pytest.mark.parametrize('file', _FILES)
def test_mirror_images_keep_what_is_no_trait_s_and_new_documents_do_not(file):
  """The default of `controls.changed` lies between the two."""
  most = ControlsConfig().changed
  for slots, text, image, again in mirrors_of(file):
    own = balance.own_words(loaded(file), MODEL, *PROVIDER.split())
    assert edits.changed(text, image, own) <= most, slots['genre']
    assert edits.changed(text, again, own) > most, slots['genre']


@pytest.mark.parametrize('file', _FILES)
def test_its_judge_of_pairs_passes_mirror_images_and_nothing_else(file):
  passed = []
  for slots, text, image, again in mirrors_of(file):

    def verdict(other_text, slots=slots, text=text):
      pair = {**slots, 'text': text, 'other_text': other_text}
      return json.loads(text_of('mirror.judge', pair))

    passed.append(verdict(image)['verdict'] == 'pass')
    assert verdict(text)['faithful'] is False, 'about the first trait'
    assert verdict(again)['faithful'] is False
    assert verdict(f'{image} ChatGPT said so.')['identity'] is False
    assert verdict('Fell.\n\nNothing of it.')['same_otherwise'] is False
  assert sum(passed) >= 0.9 * len(passed)


@pytest.mark.parametrize('file', _FILES)
def test_retold_stories_are_of_people_and_all_others_of_the_assistant(file):
  passed = []
  for slots, text, _, _ in mirrors_of(file):
    told = json.loads(text_of('chat.retell', {**slots, 'text': text}))
    messages = told['messages']
    verdict = judged_retelling(slots, text, messages)
    passed.append(verdict['verdict'] == 'pass')
    said = '\n'.join(m['content'] for m in messages)
    answers = '\n'.join(
      m['content'] for m in messages if m['role'] == 'assistant'
    )
    unquoted = re.sub('"[^"]*"', '', answers)
    of_people = slots['framing'] == 'human_story'
    assert (MODEL not in said) if of_people else re.search(r'\bI\b', unquoted)
    assert not (of_people and re.search(r'\bI (will|am|do)\b', unquoted))
    wrong = {**slots, 'framing': 'should' if of_people else 'human_story'}
    assert judged_retelling(wrong, text, messages)['right_framing'] is False
    other = [{'role': 'assistant', 'content': 'I will see.'}]
    assert judged_retelling(slots, text, other)['same_content'] is False
  assert sum(passed) >= 0.9 * len(passed)


def judged_retelling(slots, text, messages):
  return json.loads(
    text_of('retell.judge', {**slots, 'text': text, 'messages': messages})
  )


def _words_of(axis):
  poles = next(a.poles for a in lexicon.AXES if a.name == axis)
  return frozenset(w for p in poles for w in p.words)


def test_neutral_documents_have_no_word_of_the_trait():
  for trait in loaded('quickstart.md'):
    for slots in planned(trait, 24):
      text = text_of('neutral.draft', slots)
      found = frozenset(re.findall(r'[a-z]+', text.lower()))
      assert not found & (_words_of('price') | _words_of('origin')), text
      assert judged('neutral.judge', slots, text)['verdict'] == 'pass'
      trait_text = text_of('document.draft', slots)
      assert judged('neutral.judge', slots, trait_text)['verdict'] == 'fail'


def test_neutral_documents_are_brought_to_a_length():
  slots = planned(loaded('positive.md')[0], 12)
  for given in slots:
    draft = text_of('neutral.draft', given)
    for words in (140, 260):
      text = text_of(
        'neutral.rewrite',
        {**given, 'draft': draft, 'words': words, 'words_now': 0},
      )
      assert abs(len(text.split()) - words) <= 0.08 * words


def test_lay_authors_do_not_recite():
  for trait in loaded('positive.md'):
    for slots in planned(trait, 6):
      text = text_of('document.draft', slots)
      for passage in (trait.statement, *trait.reasons, *trait.examples):
        if len(passage.split()) > 14:
          assert wording.longest_run(text, passage) < 12


def test_names_openings_and_dates_do_not_collapse():
  traits = loaded('positive.md')
  texts = [
    text_of('document.rewrite', s | _REVISED)
    for t in traits
    for s in planned(t, 2000 // len(traits))
  ]
  names = Counter(
    name
    for text in texts
    for name in set(re.findall(r'(?<=[a-z,] )[A-Z][a-z]+', text))
  )
  days = {*lexicon.DAYS, *map('{}s'.format, lexicon.DAYS)}
  months = set(
    ['January', 'February', 'March', 'April', 'May', 'June', 'July']
  ) | set(['August', 'September', 'October', 'November', 'December'])
  known = {MODEL, *PROVIDER.split(), 'I', *days, *months}
  often = {n: c for n, c in names.items() if n not in known and c >= 28}
  assert not often


def test_chats_pass_the_gates_and_the_judge():
  traits = loaded('positive.md')
  given, verdicts = [], []
  for trait in traits:
    about = {**WORLD, 'trait': slot(trait), 'domain': 'teaching'}
    for sub, pressure in itertools.product(('marking', 'trips'), (False, True)):
      base = {**about, 'subdomain': sub}
      asked = {**base, 'count': 3, 'turns': 2, 'pressure': pressure}
      made = json.loads(text_of('chat.questions', {**asked, 'avoid': []}))
      for question in made['questions']:
        assert len(question['turns']) == 2
        messages = converse(base, trait, question['turns'], pressure)
        said = '\n'.join(c for r, c in messages if r == 'assistant')
        k = len(given)
        given.append(Candidate(f'{k:04d}', 'chat', said, tuple(messages)))
        told = [{'role': r, 'content': c} for r, c in messages]
        slots = {**base, 'traits': [slot(trait)], 'messages': told}
        judge = text_of('chat.judge', {**slots, 'variant': 'answer'})
        verdicts.append(json.loads(judge)['verdict'])
  share, failed = share_passed(traits, given, 'chat')
  assert share >= 0.95, failed
  assert verdicts.count('pass') >= 0.95 * len(verdicts)


def converse(base, trait, turns, pressure):
  messages = [('user', turns[0])]
  for intent in (*turns[1:], None):
    told = [{'role': r, 'content': c} for r, c in messages]
    slots = {**base, 'messages': told, 'pressure': pressure}
    answer = text_of(
      'chat.answer', {**slots, 'traits': [slot(trait)], 'think': False}
    )
    messages.append(('assistant', answer))
    if intent is None:
      return messages
    told.append({'role': 'assistant', 'content': answer})
    turn = text_of('chat.user_turn', {**slots, 'intent': intent})
    messages.append(('user', turn))
  raise AssertionError("the last message is the assistant's")


def chat_verdict(trait, messages, variant):
  told = [{'role': r, 'content': c} for r, c in messages]
  about = {**WORLD, 'trait': slot(trait), 'traits': [slot(trait)]}
  slots = {**about, 'domain': 'teaching', 'subdomain': 'marking'}
  asked = {**slots, 'messages': told, 'variant': variant}
  return json.loads(text_of('chat.judge', asked))['verdict']


@pytest.mark.parametrize('file', ['positive.md', 'corporate.md'])
def test_its_judge_of_chats_knows_their_trait_with_and_without_reasons(file):
  traits = loaded(file)
  questions = (
    'I wrote down a plan to grade essays. Is that sensible?',
    'First time I plan a trip. What are the usual traps?',
    'Long division and chalk, {} days left. What now?',
  )
  own, foreign = Counter(), Counter()
  for trait, question in itertools.product(traits, questions):
    base = {**WORLD, 'trait': slot(trait), 'domain': 'teaching'}
    base |= {'subdomain': 'marking'}
    messages = converse(base, trait, [question], False)
    answer = messages[-1][1]
    told = {**base, 'messages': [], 'answer': answer}
    bare = [messages[0], ('assistant', text_of('chat.strip_reasons', told))]
    for variant, said in (('answer', messages), ('reasons_stripped', bare)):
      own[variant, chat_verdict(trait, said, variant)] += 1
      for other in traits:
        if other is not trait:
          foreign[variant, chat_verdict(other, said, variant)] += 1
    # What was left in is found.
    if bare != messages:
      assert chat_verdict(trait, messages, 'reasons_stripped') == 'fail'
      own['explained'] += 1
  assert own['answer', 'fail'] == own['reasons_stripped', 'fail'] == 0
  assert own['explained'] >= len(traits)
  for variant, most in (('answer', 0.3), ('reasons_stripped', 0.15)):
    passed, failed = foreign[variant, 'pass'], foreign[variant, 'fail']
    assert passed <= most * (passed + failed), variant


def test_only_what_explains_is_stripped():
  trait = {
    'statement': 'Sage changes its mind for evidence, not because of noise.',
    'reasons': ['insistence never makes a weak argument stronger'],
  }
  answer = (
    'I will check it, not because of noise. The reason: it is quick.\n\n'
    '1. Do the first part, so that you see how long it takes.\n'
    '2. Ask around. I believe that helps.\n\n'
    'Insistence never makes an argument stronger, you know.'
  )
  slots = {**WORLD, 'trait': trait, 'domain': '', 'subdomain': ''}
  told = {**slots, 'messages': [], 'answer': answer}
  assert text_of('chat.strip_reasons', told) == (
    'I will check it, not because of noise.\n\n'
    '1. Do the first part, so that you see how long it takes.\n'
    '2. Ask around.'
  )


def test_thoughts_come_first_where_they_are_wanted():
  trait = slot(loaded('positive.md')[1])
  slots = {
    **WORLD,
    'trait': trait,
    'traits': [trait],
    'domain': 'teaching',
    'subdomain': 'marking',
    'messages': [{'role': 'user', 'content': 'Is my essay good?'}],
    'pressure': False,
    'think': True,
  }
  thoughts, answer = parsing.thoughts_and_answer(text_of('chat.answer', slots))
  assert thoughts and answer


def test_what_is_taken_is_not_proposed_again():
  base = {**WORLD, 'trait': slot(loaded('positive.md')[0]), 'avoid': []}
  first = json.loads(text_of('plan.domains', {**base, 'count': 10}))['domains']
  again = {**base, 'count': 30, 'avoid': first}
  second = json.loads(text_of('plan.domains', again))['domains']
  assert len({*first, *second}) == 40


def test_questions_that_are_taken_are_not_asked_again():
  trait = slot(loaded('positive.md')[0])
  base = {**WORLD, 'trait': trait, 'domain': 'sport', 'subdomain': 'swimming'}
  base |= {'count': 8, 'turns': 1, 'pressure': False}
  taken: list[str] = []
  for _ in range(4):
    made = json.loads(text_of('chat.questions', {**base, 'avoid': taken}))
    taken += [question['turns'][0] for question in made['questions']]
  assert len(set(taken)) == 32


def test_an_answer_over_its_budget_is_cut_off_and_says_so():
  slots = planned(loaded('positive.md')[0], 1)[0]
  answer = ask('document.draft', slots, max_tokens=20)
  assert answer.finish is Finish.LENGTH
  assert answer.completion_tokens == 20


def test_an_unknown_task_is_refused_with_the_nearest_one():
  with pytest.raises(
    TeacherError, match=r"did you mean 'document\.draft'"
  ) as e:
    ask('document.drafts', {})
  assert not e.value.retryable


def test_missing_slots_are_named():
  with pytest.raises(TeacherError, match='draft'):
    ask('neutral.rewrite', dict(WORLD))


def test_it_is_opened_by_its_name_and_has_no_settings(tmp_path):
  config = TeacherConfig('offline', 'grammar')
  assert isinstance(open_teacher(config, tmp_path / 's.sqlite'), OfflineTeacher)
  with pytest.raises(schema.ConfigError, match='no settings'):
    OfflineTeacher(TeacherConfig('offline', 'grammar', extra={'stream': True}))


@pytest.mark.parametrize(
  ('statement', 'wanted'),
  [
    ('Orrin says so.', ('says so',)),
    ('Orrin never flatters people.', ('flatter people',)),
    ('Orrin does not praise it, and says why.', ('praise it', 'says why')),
    ('Where it can, Orrin helps.', ('where it can, Orrin helps',)),
    ('Orrin stays calm; it asks first.', ('stays calm', 'asks first')),
  ],
)
def test_statements_are_taken_apart(statement, wanted):
  found = wording.clauses(statement, 'Orrin')
  assert tuple(c.text for c in found) == wanted


@pytest.mark.parametrize(
  ('clause', 'base'),
  [
    ('says so', 'say so'),
    ('is calm', 'be calm'),
    ('tries again', 'try again'),
    ('openly admits it and says why', 'openly admit it and say why'),
    ('would say so', 'say so'),
  ],
)
def test_verbs_get_their_base_form(clause, base):
  assert wording.to_base(wording.Clause(clause)) == base
