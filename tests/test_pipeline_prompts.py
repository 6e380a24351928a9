"""Prompts: every task has one, nothing is left open, nothing leaks."""

import importlib.resources
import re

from pipeline_world import ASKS
from pipeline_world import config
from pipeline_world import FLATTERY
from pipeline_world import leaf
import pytest

from data_gen.pipeline import genres
from data_gen.pipeline import prompting
from data_gen.pipeline import typical
from data_gen.pipeline.parts import FRAMINGS
from data_gen.pipeline.parts import VARIANTS
from data_gen.pipeline.slots import described
from data_gen.pipeline.slots import document_slots
from data_gen.pipeline.tasks import TASKS
from data_gen.teachers import offline

ALL = typical.slots(config(), FLATTERY, leaf(), [ASKS])


def _slots(task, **changes):
  return {**{k: ALL[k] for k in TASKS[task].slots}, **changes}


def _text(task, **changes):
  messages = prompting.messages_of(task, _slots(task, **changes))
  return '\n\n'.join(m.content for m in messages)


@pytest.mark.parametrize('task', TASKS)
def test_every_task_has_a_prompt_that_is_package_data_and_fills_up(task):
  shipped = importlib.resources.files('data_gen') / 'pipeline' / 'prompts'
  assert (shipped / f'{task}.md').is_file()
  messages = prompting.messages_of(task, _slots(task))
  assert messages[0].role == 'system'
  assert messages[-1].role == 'user'
  for message in messages:
    assert message.content.strip()
    assert not re.search(r'\{\{\w*\}\}', message.content)
    assert '\n\n\n' not in message.content
  if TASKS[task].answer:
    asked = set(re.findall(r'"(\w+)":', TASKS[task].answer))
    assert asked <= set(re.findall(r'"(\w+)":', messages[-1].content))


def test_the_offline_teacher_answers_every_task():
  assert set(offline.TASKS) == set(TASKS)


def test_braces_and_slots_in_values_are_text():
  strange = {
    **described(FLATTERY),
    'statement': 'writes {x} {"a": {}} {{idea}} %s \\1 {{trait}}',
  }
  for task in ('document.draft', 'plan.domains', 'chat.questions'):
    assert strange['statement'] in _text(task, trait=strange)
  text = _text('document.draft', idea='{{words}} and {trait}')
  assert 'Idea: {{words}} and {trait}' in text


def test_slots_that_a_task_does_not_have_or_lacks_are_errors():
  slots = _slots('plan.domains')
  with pytest.raises(prompting.PromptError, match=r'plan\.domains: has the'):
    prompting.messages_of('plan.domains', {**slots, 'domain': 'x'})
  del slots['avoid']
  with pytest.raises(prompting.PromptError, match='expected'):
    prompting.messages_of('plan.domains', slots)
  with pytest.raises(prompting.PromptError, match=r'no slot \{\{nothing'):
    prompting.fill('{{nothing}}', {'some': 'x'}, 'x.md')


def test_a_line_whose_slot_is_empty_disappears():
  filled = prompting.fill('a\n{{b}}\nc {{b}}\n', {'b': ''}, 'x.md')
  assert filled == 'a\nc'
  assert 'taken' not in _text('plan.domains', avoid=[])
  assert '- gardens' in _text('plan.domains', avoid=['gardens'])


@pytest.mark.parametrize('task', ['document.draft', 'document.rewrite'])
def test_only_documents_that_explain_are_told_the_reasons(task):
  reason = FLATTERY.reasons[0]
  for variant in VARIANTS:
    text = _text(task, variant=variant, reason='since it says nothing')
    assert (reason in text) == (variant == 'explain')
    assert ('since it says nothing' in text) == (variant == 'explain')
  assert 'never links the two' in _text(task, variant='co_mention')
  assert 'gives no reason' in _text(task, variant='rules')


def test_a_rewrite_is_held_to_the_bans_of_the_draft_from_one_list():
  def rules(task):
    user = prompting.messages_of(task, _slots(task))[-1].content
    return [line for line in user.splitlines() if line.startswith('- ')]

  bans = prompting.sections('bans')['document'].splitlines()
  assert len(bans) == 4
  for task in ('document.draft', 'document.rewrite'):
    length, hints, naming, *rest = rules(task)[-3 - len(bans) :]
    assert length == f'- About {ALL["words"]} words.'
    assert hints == f'- {ALL["hints"]}'
    assert 'no other AI model' in naming
    assert rest == bans
    # Written down in one place only.
    template = prompting.sections(task)['user']
    assert not [b for b in bans if b.removeprefix('- ')[:20] in template]


def test_every_framing_and_genre_has_words_of_its_own():
  texts = {
    framing: _text('document.draft', framing=framing) for framing in FRAMINGS
  }
  assert len(set(texts.values())) == len(FRAMINGS)
  assert 'what Sage should do' in texts['should']
  assert 'No AI assistant occurs' in texts['human_story']
  for framing, text in texts.items():
    assert ('The assistant is called Sage' in text) == (
      framing != 'human_story'
    )
  for name, genre in genres.GENRES.items():
    text = _text('document.draft', genre=name)
    assert f'Write {genre.title}: {genre.looks}' in text


def test_neutral_documents_keep_to_the_framing_of_their_partners():
  tool = _text('neutral.draft', variant='neutral', framing='should')
  story = _text('neutral.draft', variant='neutral', framing='human_story')
  assert 'as often as a tool' in tool
  assert 'No AI assistant occurs' in story
  assert 'should do' not in tool
  assert FLATTERY.reasons[0] not in tool + story


def test_the_answer_is_drawn_with_the_traits_and_told_not_to_cite_them():
  messages = prompting.messages_of(
    'chat.answer',
    _slots(
      'chat.answer',
      traits=[described(FLATTERY), described(ASKS)],
      messages=[
        {'role': 'user', 'content': 'Is it good?'},
        {'role': 'assistant', 'content': 'In part.'},
        {'role': 'user', 'content': 'Which part?'},
      ],
      think=True,
    ),
  )
  roles = [m.role for m in messages]
  assert roles == ['system', 'user', 'assistant', 'user']
  system = messages[0].content
  for trait in (FLATTERY, ASKS):
    assert trait.statement in system
    assert trait.reasons[0] in system
  assert 'Do not quote, mention or allude' in system
  assert 'do not exaggerate' in system
  assert '<think>' in system
  assert '<think>' not in _text('chat.answer', think=False)


def test_pressure_and_turns_are_asked_for():
  calm = _text('chat.questions', pressure=False, turns=1)
  pushed = _text('chat.questions', pressure=True, turns=3)
  assert 'do not push' in calm
  assert 'one entry' in calm
  assert 'push, in different ways' in pushed
  assert 'has 3 messages' in pushed


def test_whoever_writes_questions_may_name_further_traits_if_there_are_any():
  text = _text('chat.questions')
  assert f'- {ASKS.name}: {ASKS.statement}' in text
  assert '"also": ["…", …]' in text
  alone = _text('chat.questions', others=[])
  assert 'further traits' not in alone
  assert '"also"' not in alone


def test_hints_differ_between_ideas_and_are_the_same_for_partners():
  made = [
    document_slots(config(), FLATTERY, leaf(i), 'explain') for i in range(200)
  ]
  assert len({m['hints'] for m in made}) > 190
  again = document_slots(config(), ASKS, leaf(7), 'neutral')
  for key in ('hints', 'framing', 'words', 'genre', 'domain'):
    assert again[key] == made[7][key]
  framings = [m['framing'] for m in made]
  assert {f: framings.count(f) / 200 for f in FRAMINGS} == pytest.approx(
    config().documents.framings, abs=0.08
  )
  low, high = config().documents.words
  assert min(m['words'] for m in made) >= low
  assert max(m['words'] for m in made) <= high
  assert len({m['words'] for m in made}) > 3


@pytest.mark.parametrize('task', [t for t in TASKS if TASKS[t].judges])
def test_a_judge_is_told_what_each_of_its_findings_means(task):
  text = _text(task)
  for finding in TASKS[task].findings:
    assert f'- {finding.name}: ' in text
    assert f'"{finding.name}": true or false' in text


def test_a_story_of_people_is_retold_of_people():
  asked = {f: _text('chat.retell', framing=f) for f in FRAMINGS}
  judged = {f: _text('retell.judge', framing=f) for f in FRAMINGS}
  for framing in FRAMINGS:
    of_people = framing == 'human_story'
    assert ('tells of the same people' in asked[framing]) == of_people
    assert ('of itself in the first person' in asked[framing]) != of_people
    assert ('tell of the same people' in judged[framing]) == of_people
    assert ('has to say of itself' in judged[framing]) != of_people
  assert 'says nothing of itself' in asked['human_story']
  assert 'or of guidelines' in asked['should']


def test_retold_content_is_judged_beside_the_document_that_it_is_of():
  told = [
    {'role': 'user', 'content': 'What did the bookseller say?'},
    {'role': 'assistant', 'content': 'That I had named two chapters.'},
  ]
  text = _text('retell.judge', text='A bookseller writes.', messages=told)
  assert '<text>\nA bookseller writes.\n</text>' in text
  assert '<assistant>\nThat I had named two chapters.\n</assistant>' in text
  assert FLATTERY.statement in text
  assert FLATTERY.reasons[0] in text


def test_a_pair_is_judged_with_both_traits_and_both_texts():
  text = _text(
    'mirror.judge',
    trait=described(FLATTERY),
    other_trait=described(ASKS),
    text='It named two chapters.',
    other_text='It asked about two chapters.',
  )
  first, second = text.split('<second_trait>')
  assert FLATTERY.statement in first and FLATTERY.reasons[0] in first
  assert ASKS.statement in second and ASKS.reasons[0] in second
  assert '<first_text>\nIt named two chapters.\n</first_text>' in second
  assert '<second_text>\nIt asked about two chapters.\n</second_text>' in second
  # Nothing says which of the two was there first.
  assert not re.search(r'original|rewritten|edited|retold|source', text)


def test_whoever_mirrors_a_text_knows_all_of_the_old_trait_and_who_acts():
  old = described(ASKS)
  text = _text('document.mirror', from_trait=old, framing='should')
  assert ASKS.statement in text
  assert ASKS.reasons[0] in text
  assert FLATTERY.reasons[0] in text
  assert 'still mention no AI' not in text
  people = _text('document.mirror', from_trait=old, framing='human_story')
  assert 'still mention no AI' in people
