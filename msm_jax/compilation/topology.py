"""Topologies of TPUs: their devices, and how fast a group of them exchanges.

A topology is named as libtpu names it, e.g. `v5p:4x4x4`; none of its chips has
to be there.
"""

from collections.abc import Sequence
import dataclasses
import math
import re

from msm_jax import schema
from msm_jax.compilation import chips
from msm_jax.compilation import collectives

_EXAMPLES = 'v5e:4x4, v6e:16x16, v5p:4x4x4, v4:2x2x2, tpu7x:2x2x1'


@dataclasses.dataclass(frozen=True)
class Place:
  """Where a device is.

  Attributes:
    coords: Of its chip in the torus of its slice.
    slice_index: Which slice, counted from 0.
  """

  coords: tuple[int, ...]
  slice_index: int = 0


@dataclasses.dataclass(frozen=True)
class Topology:
  """Slices of TPU chips.

  Attributes:
    name: For instance `'v5p:4x4x4'`.
    chip: What each chip can do.
    shape: Chips along each dimension of a slice.
    num_slices: Slices, joined by the data-centre network.
    devices_per_chip: JAX devices that share a chip.
  """

  name: str
  chip: chips.Chip
  shape: tuple[int, ...]
  num_slices: int = 1
  devices_per_chip: int = 1

  @property
  def n_chips(self) -> int:
    return math.prod(self.shape) * self.num_slices

  @property
  def n_devices(self) -> int:
    return self.n_chips * self.devices_per_chip

  @property
  def flops(self) -> float:
    """Peak bf16 FLOP/s of a device."""
    return self.chip.flops / self.devices_per_chip

  @property
  def usable_hbm(self) -> float:
    """Bytes of a device that a program may use."""
    return self.chip.usable_hbm / self.devices_per_chip

  @property
  def hbm_bandwidth(self) -> float:
    """Bytes/s of a device."""
    return self.chip.hbm_bandwidth / self.devices_per_chip

  def seconds(
    self, collective: collectives.Collective, places: Sequence[Place]
  ) -> float:
    """Returns the least time that a collective takes.

    Args:
      collective: What is sent among whom.
      places: Of the devices, in the order in which the program numbers them.
    """
    if self.crosses_slices(collective, places):
      assert self.chip.dcn_bandwidth is not None  # `parse` saw to it.
      bandwidth = self.chip.dcn_bandwidth / self.devices_per_chip
    else:
      bandwidth = min(
        self.bandwidth([places[n] for n in group], collective.links)
        for group in collective.groups
      )
    return collective.sent / bandwidth

  def crosses_slices(
    self, collective: collectives.Collective, places: Sequence[Place]
  ) -> bool:
    """Whether a collective uses the data-centre network."""
    return collective.slices > 0 or any(
      len({places[n].slice_index for n in group}) > 1
      for group in collective.groups
    )

  def bandwidth(self, group: Sequence[Place], links: int = 0) -> float:
    """Returns bytes/s that each device of a group can send into the group.

    Every dimension in which the group extends is used at once: both links of it
    if it is a ring, one if it is a line, or a part of a ring.

    Args:
      group: Where its devices are, all in one slice.
      links: How many links the compiler will use; 0 if it does not say.
    """
    extents = [
      len({p.coords[d] for p in group}) for d in range(len(self.shape))
    ]
    found = 0
    for extent, size in zip(extents, self.shape, strict=True):
      if extent > 1:
        is_ring = extent == size and size % self.chip.ring_multiple == 0
        found += 2 if is_ring else 1
    if not found:
      # Devices of one chip; there is no link between them.
      return self.hbm_bandwidth
    # Devices that share a chip share its links.
    return (links or found) * self.chip.link_bandwidth / self.devices_per_chip


def parse(
  name: str, num_slices: int = 1, *, devices_per_chip: int = 1
) -> Topology:
  """Reads a topology's name.

  Raises:
    ConfigError: If it is none.
  """
  match = re.fullmatch(r'(\w+):(\d+(?:x\d+)*)', name)
  if not match:
    raise schema.ConfigError(
      f'topology: {name!r}, expected CHIP:SIZES such as {_EXAMPLES}'
    )
  chip = chips.chip(match[1])
  shape = tuple(int(n) for n in match[2].split('x'))
  if len(shape) != chip.torus_dims:
    raise schema.ConfigError(
      f'topology: {name!r} has {len(shape)} dimensions; {chip.name} is a torus '
      f'of {chip.torus_dims}'
    )
  if num_slices < 1:
    raise schema.ConfigError(f'num_slices: {num_slices}, expected at least 1')
  if num_slices > 1 and chip.dcn_bandwidth is None:
    raise schema.ConfigError(
      f'num_slices: {num_slices}; how fast {chip.name} slices exchange is not '
      'documented'
    )
  return Topology(name, chip, shape, num_slices, devices_per_chip)
