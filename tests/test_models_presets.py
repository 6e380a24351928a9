"""Published sizes by name."""

import dataclasses
import subprocess
import sys

import pytest

from msm_jax import models
from msm_jax import schema
from msm_jax.models import __main__ as command
from msm_jax.models import presets


@pytest.mark.parametrize('name', sorted(presets.PRESETS))
def test_presets_have_the_published_number_of_parameters(name):
  preset = presets.get(name)
  assert models.Model(preset.config).n_params() == preset.n_params


@pytest.mark.parametrize(
  'name, embedding, others',
  # Millions, of the text model: table 1 of the Gemma 3 report (arXiv
  # 2503.19786) and of Gemma 2's (arXiv 2408.00118).
  [
    ('Gemma-3-1B', 302, 698),
    ('Gemma-3-4B', 675, 3209),
    ('Gemma-3-12B', 1012, 10759),
    ('Gemma-3-27B', 1416, 25600),
    ('Gemma-2-2B', 590, 2024),
    ('Gemma-2-9B', 918, 8324),
    ('Gemma-2-27B', 1180, 26047),
  ],
)
def test_gemmas_have_the_counts_of_their_reports(name, embedding, others):
  preset = presets.get(name)
  rows = preset.config.vocab_size * preset.config.d_model
  assert abs(rows / 1e6 - embedding) < 0.01 * embedding
  assert abs((preset.n_params - rows) / 1e6 - others) < 0.5 + 1e-3 * others


def test_a_preset_that_does_not_exist_names_the_nearest():
  with pytest.raises(schema.ConfigError, match="did you mean 'Qwen3-32B'"):
    presets.get('qwen3-32B')


def test_a_preset_can_be_a_configs_model_section():
  config = presets.get('Gemma-3-27B').config
  section = dataclasses.asdict(config)
  assert schema.structure(models.DecoderConfig, section) == config


def test_the_command_lists_every_preset_with_its_parameters():
  lines = command.table().splitlines()[1:]
  assert len(lines) == len(presets.PRESETS)
  for line, (name, preset) in zip(lines, presets.PRESETS.items(), strict=True):
    assert line.split()[:3] == [name, preset.family, f'{preset.n_params:,}']


def test_the_command_takes_no_arguments():
  done = subprocess.run(
    [sys.executable, '-m', 'msm_jax.models', 'x'],
    check=False,
    capture_output=True,
    text=True,
  )
  assert done.returncode == 1
  assert "unexpected arguments ['x']" in done.stderr
