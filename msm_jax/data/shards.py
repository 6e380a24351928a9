"""Random access to the records of a prepared source, shard by shard."""

from collections import OrderedDict
import threading
from typing import Any

from array_record.python import array_record_data_source
import numpy as np

from msm_jax import storage


class Shards:
  """Records of a published directory, each shard opened when it is needed.

  A shard of a bucket is a file of the cache as long as it is open. Where there
  is no room for another, those that were not used for longest are closed.
  """

  def __init__(
    self, files: storage.PublishedFiles, shards: list[dict[str, Any]]
  ):
    """Opens nothing yet.

    Args:
      files: Those of the directory.
      shards: `{'name': …, 'sequences': …}` of each, in order.
    """
    self._files = files
    self._names = [s['name'] for s in shards]
    self._sizes = [s['sequences'] for s in shards]
    self._ends = np.cumsum(self._sizes)
    self._open: OrderedDict[int, tuple[Any, storage.Held]] = OrderedDict()
    self._lock = threading.Lock()

  def __len__(self) -> int:
    return int(self._ends[-1])

  def __getitem__(self, index: int) -> bytes:
    if not 0 <= index < len(self):
      raise IndexError(f'sequence {index} of {len(self)}')
    shard = int(np.searchsorted(self._ends, index, 'right'))
    begin = int(self._ends[shard - 1]) if shard else 0
    with self._lock:
      return self._records(shard)[index - begin]

  def _records(self, shard: int) -> Any:
    if shard not in self._open:
      self._open[shard] = self._opened(shard)
    self._open.move_to_end(shard)
    return self._open[shard][0]

  def _opened(self, shard: int) -> tuple[Any, storage.Held]:
    while True:
      try:
        held = self._files.hold(self._names[shard])
        break
      except storage.CacheFullError:
        if not self._open:
          raise
        _, (_, oldest) = self._open.popitem(last=False)
        oldest.close()
    records = array_record_data_source.ArrayRecordDataSource([str(held.path)])
    if len(records) != self._sizes[shard]:
      raise storage.CorruptError(
        f'{self._names[shard]}: holds {len(records)} records, not the '
        f'{self._sizes[shard]} of its manifest: prepare it again'
      )
    return records, held
