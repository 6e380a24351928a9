"""A prepared source in words."""

from msm_jax.data import prepared


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
    ('fill', f'{info["fill"]:.2%}'),
    ('splits', f'{info["splits"]:,}'),
    ('dropped', _dropped(info['dropped'], info['dropped_ids'])),
    ('shards', f'{len(info["shards"])}'),
    ('fingerprint', source.fingerprint),
  ]
  rows += [(f'  {k}', v) for k, v in info['fingerprints'].items()]
  width = max(len(name) for name, _ in rows)
  return '\n'.join(f'{name:{width}}  {value}' for name, value in rows)


def _dropped(count: int, ids: list[str]) -> str:
  if not count:
    return '0'
  more = ', …' if count > len(ids) else ''
  return f'{count:,} longer than a sequence: {", ".join(ids)}{more}'
