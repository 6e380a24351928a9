import io

from terminals import Terminal

from launch import display


def screen(text):
  """What a terminal shows after `text`, for the sequences that we use."""
  lines, row = [''], 0
  while text:
    if text.startswith('\x1b['):
      end = next(i for i, c in enumerate(text) if c.isalpha())
      sequence, text = text[2 : end + 1], text[end + 1 :]
      if sequence == 'J':
        lines = lines[:row] + ['']
      else:
        assert sequence.endswith('A'), sequence
        row -= int(sequence[:-1])
    else:
      char, text = text[0], text[1:]
      if char == '\n':
        row += 1
        lines += [''] * (row + 1 - len(lines))
      else:
        lines[row] += char
  return lines


def test_lines_say_which_stage_of_how_many():
  out = io.StringIO()
  display.Display(12, out).say(3, 'seed0/base: stands')
  assert out.getvalue() == '[ 3/12] seed0/base: stands\n'


def test_bars_are_redrawn_below_the_lines_that_stay(clock):
  out = Terminal()
  shown = display.Display(9, out)
  shown.say(1, 'a: done')
  shown.draw([(2, 'b 10%'), (3, 'c 20%')])
  assert screen(out.getvalue()) == [
    '[1/9] a: done',
    '[2/9] b 10%',
    '[3/9] c 20%',
    '',
  ]
  clock(1)
  shown.draw([(2, 'b 50%'), (3, 'c 60%')])
  assert screen(out.getvalue()) == [
    '[1/9] a: done',
    '[2/9] b 50%',
    '[3/9] c 60%',
    '',
  ]
  shown.say(2, 'b: done')
  assert screen(out.getvalue()) == ['[1/9] a: done', '[2/9] b: done', '']
  clock(1)
  shown.draw([(3, 'c 90%')])
  assert screen(out.getvalue())[1:] == ['[2/9] b: done', '[3/9] c 90%', '']


def test_bars_never_wrap(clock, monkeypatch):
  monkeypatch.setenv('COLUMNS', '40')
  out = Terminal()
  display.Display(9, out).draw([(2, 'x' * 100)])
  assert out.getvalue() == '[2/9] ' + 'x' * 33 + '\n'


def test_a_log_gets_bars_now_and_then_and_no_escapes(clock):
  out = io.StringIO()
  shown = display.Display(9, out)
  for second in range(40):
    shown.draw([(2, f'b {second}')])
    clock(1)
  shown.print('the end')
  assert out.getvalue().splitlines() == [
    '[2/9] b 0',
    '[2/9] b 15',
    '[2/9] b 30',
    'the end',
  ]
