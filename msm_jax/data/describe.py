"""A prepared source in words."""

from msm_jax.data import packing
from msm_jax.data import prepared

GOOD_FILL = 0.98


def describe_source(source: prepared.PreparedSource) -> str:
  """Returns the statistics of a prepared source as a small table."""
  info = source.info
  per_token = info['loss_tokens'] / max(1, info['tokens'])
  rows = [
    ('path', source.path),
    (info['source_kind'], f'{info["documents"]:,}'),
    ('tokens', f'{info["tokens"]:,}'),
    ('loss tokens', f'{info["loss_tokens"]:,} ({per_token:.1%})'),
    ('sequences', f'{info["sequences"]:,} of length {info["seq_len"]}'),
    ('fill', f'{info["fill"]:.2%}{_advice(source)}'),
    ('splits', f'{info["splits"]:,}'),
    ('dropped', _dropped(info['dropped'], info['dropped_ids'])),
    ('shards', f'{len(info["shards"])}'),
  ]
  if masked := info.get('masked_prefixes'):
    rows.append(('masked prefixes', f'{masked:,}'))
  if source.provenance:
    rows.append(('provenance', ', '.join(source.provenance)))
  rows.append(('fingerprint', source.fingerprint))
  rows += [(f'  {k}', v) for k, v in info['fingerprints'].items()]
  width = max(len(name) for name, _ in rows)
  return '\n'.join(f'{name:{width}}  {value}' for name, value in rows)


def better_seq_len(source: prepared.PreparedSource) -> int | None:
  """Returns the least multiple of the length that fills sequences well.

  What fits is never split, so documents of, say, 0.6 of a sequence fill 60 %
  of it, and only longer sequences help.

  Returns:
    At most 8 times the length that the source has; None if that does not help,
    or is not needed.
  """
  if source.info['fill'] >= GOOD_FILL:
    return None
  lengths = source.documents['tokens'].to_numpy() - 1
  for times in range(2, 9):
    seq_len = times * source.seq_len
    if packing.pack(lengths, seq_len).fill >= GOOD_FILL:
      return seq_len
  return None


def _advice(source: prepared.PreparedSource) -> str:
  seq_len = better_seq_len(source)
  if seq_len is None:
    return ''
  return (
    f' (what fits is never split; --seq_len={seq_len} would fill '
    f'{GOOD_FILL:.0%})'
  )


def _dropped(count: int, ids: list[str]) -> str:
  if not count:
    return '0'
  more = ', …' if count > len(ids) else ''
  return f'{count:,} longer than a sequence: {", ".join(ids)}{more}'
