"""Published sizes by name."""

import dataclasses
import subprocess
import sys

import published_configs
import pytest

from msm_jax import models
from msm_jax import schema
from msm_jax.models import __main__ as command
from msm_jax.models import presets


@pytest.mark.parametrize('name', sorted(presets.PRESETS))
def test_presets_have_the_published_number_of_parameters(name):
  preset = presets.get(name)
  assert models.Model(preset.config).n_params() == preset.n_params


# What `transformers` takes for keys that a file leaves out.
_LEFT_OUT = {'gemma3': {'vocab_size': 262208, 'head_dim': 256}}


def _counted(published):
  """Parameters by arithmetic over the keys of a published config.json."""
  c = published.get('text_config', published)
  kind = c['model_type'].removesuffix('_text')
  c = {**_LEFT_OUT.get(kind, {}), **c}
  D, F = c['hidden_size'], c['intermediate_size']
  H = c['num_attention_heads']
  K = c.get('num_key_value_heads', H)
  C = c.get('head_dim', D // H)
  norms = (4 if kind in ('gemma2', 'gemma3') else 2) * D
  if kind in ('qwen3', 'gemma3'):
    norms += 2 * C
  elif kind in ('olmo2', 'olmo3'):
    norms += (H + K) * C
  biases = (H + 2 * K) * C if kind == 'qwen2' else 0
  layer = (2 * H + 2 * K) * C * D + 3 * D * F + norms + biases
  tied = c.get('tie_word_embeddings', kind.startswith('gemma'))
  ends = (1 if tied else 2) * c['vocab_size'] * D + D
  return c['num_hidden_layers'] * layer + ends


@pytest.mark.parametrize('name', sorted(published_configs.CONFIGS))
def test_published_numbers_follow_from_published_configs(name):
  assert _counted(published_configs.CONFIGS[name]) == presets.get(name).n_params


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
