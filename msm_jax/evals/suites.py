"""Forced-choice suites: files of items, readable without JAX.

A suite is a JSONL file `<suite>.jsonl`. Each line is one *presentation* of an
item: the same item appears once per option order, and scores are averaged over
the orders, since option position alone moves a small model's choice.
"""

from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses
import json
import pathlib
from typing import Any

from msm_jax import storage


@dataclasses.dataclass(frozen=True)
class Option:
  """One answer. `label` says what choosing it means, e.g. `'thrift'`."""

  label: str
  text: str


@dataclasses.dataclass(frozen=True)
class Item:
  """One presentation of a forced choice.

  Exactly one of `messages` and `prompt` is given: `messages` (a conversation
  that ends before the assistant's turn) is scored through the tokenizer's chat
  template, `prompt` is a plain text that the option continues.

  Attributes:
    suite: Name of the suite.
    item: Identifies the item; equal for all orders of the same item.
    order: 0, 1, …: which presentation of the item this is.
    cluster: What items are resampled by, e.g. the domain.
    options: At least two; all presentations of an item list the same labels in
      the same sequence, whatever the order in the prompt.
    target: The label of the correct option, or None where none is correct.
    persona: Who is asked.
    persona_value: The value that the persona holds, or None if it is open.
    messages: `[{'role': …, 'content': …}, …]`.
    prompt: Plain text.
  """

  suite: str
  item: str
  order: int
  cluster: str
  options: tuple[Option, ...]
  target: str | None = None
  persona: str | None = None
  persona_value: str | None = None
  messages: tuple[dict[str, str], ...] | None = None
  prompt: str | None = None

  @property
  def where(self) -> str:
    """Names the presentation in messages."""
    return f'{self.suite}/{self.item}/{self.order}'

  @property
  def labels(self) -> tuple[str, ...]:
    return tuple(o.label for o in self.options)

  def __post_init__(self):
    if (self.messages is None) == (self.prompt is None):
      raise ValueError(f'{self.where}: give exactly one of messages and prompt')
    if self.messages is not None and (
      not self.messages or self.messages[-1].get('role') == 'assistant'
    ):
      raise ValueError(
        f'{self.where}: messages must end before the turn of the assistant, '
        'who says the options'
      )
    if len(self.options) < 2 or len(set(self.labels)) != len(self.labels):
      raise ValueError(
        f'{self.where}: needs at least two options with different labels, '
        f'has {list(self.labels)}'
      )
    if empty := [o.label for o in self.options if not o.text]:
      raise ValueError(f'{self.where}: the options {empty} have no text')
    if self.target is not None and self.target not in self.labels:
      raise ValueError(
        f'{self.where}: target {self.target!r} is not one of its options '
        f'{list(self.labels)}'
      )

  def to_json(self) -> dict[str, Any]:
    return {k: v for k, v in dataclasses.asdict(self).items() if v is not None}

  @classmethod
  def from_json(cls, raw: dict[str, Any]) -> 'Item':
    declared = dataclasses.fields(cls)
    known = {f.name for f in declared}
    if unknown := sorted(set(raw) - known):
      raise ValueError(f'unknown fields {unknown}; expected {sorted(known)}')
    needed = {f.name for f in declared if f.default is dataclasses.MISSING}
    if missing := sorted(needed - set(raw)):
      raise ValueError(f'fields {missing} are missing')
    fields = dict(raw)
    fields['options'] = tuple(Option(**o) for o in raw['options'])
    if raw.get('messages') is not None:
      fields['messages'] = tuple(raw['messages'])
    return cls(**fields)


def write_suite(path: str | pathlib.Path, items: Iterable[Item]) -> None:
  """Writes a suite as JSONL, atomically."""
  lines = [json.dumps(i.to_json(), ensure_ascii=False) + '\n' for i in items]
  storage.write_atomic(path, ''.join(lines))


def read_suite(path: str | pathlib.Path) -> Iterator[Item]:
  """Yields the items of a suite; see also `check_suite`.

  Raises:
    ValueError: Naming file and line of anything that is not an item.
  """
  for number, line in enumerate(storage.read_text(path).splitlines(), 1):
    try:
      yield Item.from_json(json.loads(line))
    except (ValueError, TypeError, KeyError) as e:
      raise ValueError(f'{path}:{number}: not a suite item: {e}') from e


def check_suite(items: Iterable[Item]) -> None:
  """Checks that the presentations of a suite can be averaged over the orders.

  Raises:
    ValueError: If a presentation occurs twice, an item lacks an order that
      others have, or its presentations differ in more than the order.
  """
  presented: dict[str, dict[int, Item]] = {}
  for item in items:
    orders = presented.setdefault(item.item, {})
    if item.order in orders:
      raise ValueError(f'{item.where}: occurs twice')
    orders[item.order] = item
  every = {order for orders in presented.values() for order in orders}
  same = ('labels', 'cluster', 'target', 'persona', 'persona_value')
  for orders in presented.values():
    first, *others = orders.values()
    if missing := sorted(every - set(orders)):
      raise ValueError(
        f'{first.suite}/{first.item}: lacks the orders {missing}, which other '
        'items have'
      )
    for other in others:
      for name in same:
        a, b = getattr(first, name), getattr(other, name)
        if a != b:
          raise ValueError(
            f'{other.where}: {name} is {b!r}, but {a!r} in order {first.order}'
          )
