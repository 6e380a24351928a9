"""A mesh of one device, however many there are."""

import jax

from msm_jax import models


def layout() -> models.Layout:
  mesh = models.make_mesh(models.MeshConfig(), jax.devices()[:1])
  return models.Layout(mesh)
