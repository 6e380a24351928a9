"""What a TPU chip can do, and what it costs.

Speeds are peaks from Google's documentation, read in November 2026
(docs.cloud.google.com/tpu/docs/{v4,v5e,v5p,v6e,tpu7x}): nothing runs faster, so
times made of them are lower bounds. One link of the torus carries, each way, a
chip's documented "bidirectional ICI bandwidth" / number of links / 2.

`usable_hbm` is what the compiler of libtpu 0.0.42 says is available on a
device; the rest is reserved.

Prices are Google's list prices on demand in its cheapest regions (Google Cloud,
cloud.google.com/tpu/pricing, as quoted in public in 2026). Reservations and
other regions cost something else: give `--price`.
"""

import dataclasses

from msm_jax import schema

GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Chip:
  """One chip.

  Attributes:
    name: As in a topology's name, `'v5p:4x4x4'`.
    flops: Peak bf16 FLOP/s.
    usable_hbm: Bytes that a program may use, all devices of the chip together.
    hbm_bandwidth: Bytes/s.
    torus_dims: Dimensions of the torus, of which each has two links a chip.
    link_bandwidth: Bytes/s of one link, one way.
    dcn_bandwidth: Bytes/s to other slices; None if Google does not say.
    price: US dollars per chip-hour, or None if no list price is known here.
    ring_multiple: A dimension is a ring, not a line, if its size is a multiple
      of this (v4 and later cubes: 4; v5e and v6e: the whole pod's 16).
    target: Extra arguments with which libtpu makes this chip as Google Cloud
      rents it.
  """

  name: str
  flops: float
  usable_hbm: float
  hbm_bandwidth: float
  torus_dims: int
  link_bandwidth: float
  dcn_bandwidth: float | None
  price: float | None
  ring_multiple: int
  target: tuple[tuple[str, str], ...] = ()


CHIPS = {
  chip.name: chip
  for chip in (
    Chip(
      name='v4',
      flops=275e12,
      usable_hbm=30.75 * GIB,
      hbm_bandwidth=1200e9,
      torus_dims=3,
      link_bandwidth=50e9,
      dcn_bandwidth=None,
      price=3.22,
      ring_multiple=4,
      # Both cores of a chip as one device.
      target=(('chip_config_name', 'megacore'),),
    ),
    Chip(
      name='v5e',
      flops=197e12,
      usable_hbm=15.75 * GIB,
      hbm_bandwidth=819e9,
      torus_dims=2,
      link_bandwidth=50e9,
      # 6.4 Tb/s for a pod of 256.
      dcn_bandwidth=25e9 / 8,
      price=1.20,
      ring_multiple=16,
    ),
    Chip(
      name='v5p',
      flops=459e12,
      usable_hbm=95.74 * GIB,
      hbm_bandwidth=2765e9,
      torus_dims=3,
      link_bandwidth=100e9,
      dcn_bandwidth=50e9 / 8,
      price=4.20,
      ring_multiple=4,
    ),
    Chip(
      name='v6e',
      flops=918e12,
      usable_hbm=31.25 * GIB,
      hbm_bandwidth=1638e9,
      torus_dims=2,
      link_bandwidth=100e9,
      dcn_bandwidth=100e9 / 8,
      price=2.70,
      ring_multiple=16,
    ),
    Chip(
      name='tpu7x',
      flops=2307e12,
      usable_hbm=2 * 94.75 * GIB,
      hbm_bandwidth=7380e9,
      torus_dims=3,
      link_bandwidth=100e9,
      dcn_bandwidth=100e9 / 8,
      price=None,
      ring_multiple=4,
    ),
  )
}


def chip(name: str) -> Chip:
  """Returns the chip of that name.

  Raises:
    ConfigError: If there is none, naming those that there are.
  """
  schema.one_of(name, list(CHIPS), 'topology: the chip')
  return CHIPS[name]
