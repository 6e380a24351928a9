"""Run in a process with eight CPU devices: prints the HLO of collectives."""

from hlo import programs
import jax
import jax.numpy as jnp

from msm_jax.compilation import phases


def main() -> None:
  # A CPU would send bfloat16 as float32.
  function, arguments = programs.collectives(jax.devices(), jnp.float32)
  print(phases.text(jax.jit(function).lower(*arguments).compile()))


if __name__ == '__main__':
  main()
