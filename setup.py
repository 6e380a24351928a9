"""Packaging of msm_jax: `pip install .` installs `msm_jax` and `data_gen`."""

import pathlib

import setuptools

ROOT = pathlib.Path(__file__).parent

CORE = [
  'absl-py',
  'array-record',
  'datasketch',
  'etils',
  'flax',
  'fsspec',
  'gcsfs',
  'google-crc32c',
  'grain',
  'jax',
  'jinja2',
  'matplotlib',
  'ml_collections',
  'ml_dtypes',
  'numpy',
  'optax',
  'orbax-checkpoint',
  'pyarrow',
  'scipy',
  'sentencepiece',
  'tensorboardX',
  'tensorstore',
  'tokenizers',
]

EXTRAS = {
  'tpu': ['jax[tpu]'],
  'cuda': ['jax[cuda13]'],
  # Teachers of data_gen.
  'openai': ['openai'],
  'gemini': ['google-genai'],
  'wandb': ['wandb'],
  # Preparing on many machines. Holds older versions of what others need newer.
  'beam': ['apache-beam[gcp]'],
}

setuptools.setup(
  name='msm_jax',
  version='0.1.0.dev0',
  description='Model-spec midtraining in JAX, from a traits document to '
  'a deeply aligned checkpoint, with the evidence.',
  long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
  long_description_content_type='text/markdown',
  license='Apache-2.0',
  python_requires='>=3.11',
  packages=setuptools.find_packages(
    include=['msm_jax', 'msm_jax.*', 'data_gen', 'data_gen.*']
  ),
  package_data={
    'msm_jax': [
      'py.typed',
      'report/*.j2',
      'report/*.css',
      'tokenizers/templates/*.jinja',
    ],
    'data_gen': [
      'py.typed',
      'traits/*.md',
      'corpus/*.j2',
      'corpus/*.css',
      'corpus/*.js',
      'pipeline/prompts/*.md',
    ],
  },
  install_requires=CORE,
  extras_require=EXTRAS,
)
