"""Adapters leave merged, dropped, or as PEFT has them."""

import dataclasses
import json

import hf_models
import jax
import numpy as np
import one_device
import published_models
from published_models import run
import pytest
from safetensors import numpy as files

from msm_jax import models
from msm_jax import schema
from msm_jax import tokenizers
from msm_jax.models import crossing
from msm_jax.models import lora as lora_lib

torch = hf_models.import_torch()
transformers = pytest.importorskip('transformers')

LORA = lora_lib.LoRAConfig(rank=3, alpha=6.0)
VARIANTS = {
  'lora': LORA,
  'dora': dataclasses.replace(LORA, dora=True),
  # Of the stack that the pattern fills, not of the layer that is left over.
  'some': lora_lib.LoRAConfig(
    rank=2, alpha=5.0, targets=('layers/attention/q', 'layers/mlp/down')
  ),
  'int8': dataclasses.replace(LORA, base='int8'),
  'nf4': dataclasses.replace(LORA, base='nf4'),
}
TOKENS = np.arange(3, 40, dtype=np.int32)[None]


def trained(model):
  """Parameters of a model whose adapters have learnt something."""
  rng = np.random.default_rng(1)

  def draw(path, leaf):
    name = path[-1].key
    if name == 'codes':
      info = np.iinfo(leaf.dtype)
      return rng.integers(info.min, info.max, leaf.shape, leaf.dtype)
    noise = rng.standard_normal(leaf.shape).astype(np.float32)
    if name == 'scales':
      return 0.2 + 0.02 * np.abs(noise)
    if name in ('magnitude', 'scale'):
      return (1 + 0.3 * noise).astype(leaf.dtype)
    return (0.2 * noise).astype(leaf.dtype)

  drawn = jax.tree_util.tree_map_with_path(draw, model.abstract_params())
  return jax.tree.map(jax.numpy.asarray, drawn)


@dataclasses.dataclass(frozen=True)
class Run:
  """A run that trained adapters.

  Attributes:
    workdir: Its checkpoint is at the end of the phase `sft`.
    model: What it trained.
    params: What came of it.
    tokenizer: Folder.
  """

  workdir: object
  model: models.Model
  params: models.Params
  tokenizer: str


@pytest.fixture(
  scope='module',
  params=[
    'dora',
    *(
      pytest.param(v, marks=pytest.mark.slow)
      for v in ('lora', 'some', 'int8', 'nf4')
    ),
  ],
)
def trained_run(request, tmp_path_factory):
  root = tmp_path_factory.mktemp(request.param)
  config = dataclasses.replace(
    hf_models.config('olmo3'), vocab_size=published_models.VOCAB_SIZE
  )
  lora = VARIANTS[request.param]
  model = models.Model(config, lora)
  params = trained(model)
  (root / 'tokenizer').mkdir()
  published_models.add_tokenizer(root / 'tokenizer', 'olmo2')
  tokenizer = tokenizers.load_tokenizer(root / 'tokenizer')
  published_models.save_run(root, model, params, tokenizer)
  return Run(root, model, params, str(root / 'tokenizer'))


def our_logits(model, params):
  positions = np.broadcast_to(np.arange(TOKENS.shape[1]), TOKENS.shape)
  with jax.default_matmul_precision('highest'):
    return np.asarray(
      jax.jit(model.logits)(params, TOKENS, np.ones_like(TOKENS), positions)
    )


def load(folder):
  return transformers.AutoModelForCausalLM.from_pretrained(
    folder, attn_implementation='eager'
  ).eval()


def torch_logits(model):
  with torch.no_grad():
    return model(torch.tensor(TOKENS, dtype=torch.long)).logits.numpy()


def export(trained_run, target, **flags):
  return run(
    trained_run.workdir, target, tokenizer=trained_run.tokenizer, **flags
  )


def test_merged_adapters_are_those_that_training_would_merge(
  trained_run, tmp_path
):
  report = export(
    trained_run, f'hf:{tmp_path / "merged"}', adapters='merge', verify=True
  )
  assert 'equal to the bit' in report
  model = trained_run.model
  across = crossing.Crossing(model, models.Model(model.config), 'merge')
  copied = jax.tree.map(jax.numpy.array, trained_run.params)
  merged = across.compile(one_device.layout())(copied, jax.random.key(0))
  expected = hf_models.exported('olmo3', model.config, merged)
  found = published_models.tensors(tmp_path / 'merged')
  assert set(found) == set(expected)
  for name, value in expected.items():
    assert found[name].dtype == np.float32
    np.testing.assert_array_equal(found[name], value, err_msg=name)
  np.testing.assert_allclose(
    torch_logits(load(tmp_path / 'merged')),
    our_logits(model, trained_run.params),
    rtol=0,
    atol=3e-4,
  )


def test_dropped_adapters_leave_the_base(trained_run, tmp_path):
  export(trained_run, f'hf:{tmp_path / "base"}', adapters='drop', verify=True)
  plain = models.Model(trained_run.model.config)
  base = jax.jit(
    lambda params: lora_lib.adapt(
      None, 'float32', plain.sites, params, jax.random.key(0)
    )
  )(lora_lib.drop(trained_run.params))
  expected = hf_models.exported('olmo3', plain.config, base)
  for name, value in published_models.tensors(tmp_path / 'base').items():
    np.testing.assert_array_equal(value, expected[name], err_msg=name)


def by_hand(base, adapter, config):
  """Loads an adapter folder as PEFT's documentation describes it."""
  tensors = files.load_file(adapter / 'adapter_model.safetensors')
  scale = config['lora_alpha'] / config['r']
  linear = {
    name: module
    for name, module in base.named_modules()
    if isinstance(module, torch.nn.Linear)
  }
  used = set()
  for name, module in linear.items():
    targets = config['target_modules']
    if not any(name == t or name.endswith(f'.{t}') for t in targets):
      continue
    key = f'base_model.model.{name}.lora'
    a, b = (torch.tensor(tensors[f'{key}_{x}.weight']) for x in 'AB')
    used |= {f'{key}_A.weight', f'{key}_B.weight'}
    weight = module.weight.data + scale * b @ a
    if config['use_dora']:
      used.add(f'{key}_magnitude_vector')
      magnitude = torch.tensor(tensors[f'{key}_magnitude_vector'])
      weight *= (magnitude / weight.norm(dim=1))[:, None]
    module.weight.data = weight
  assert used == set(tensors)
  return base


def test_an_adapter_folder_on_its_base_says_what_the_run_does(
  trained_run, tmp_path
):
  base, adapter = tmp_path / 'base', tmp_path / 'adapter'
  export(trained_run, f'hf:{base}', adapters='drop')
  export(trained_run, f'peft:{adapter}', base_model=str(base))
  config = json.loads((adapter / 'adapter_config.json').read_text())
  assert config['base_model_name_or_path'] == str(base)
  expected = our_logits(trained_run.model, trained_run.params)
  np.testing.assert_allclose(
    torch_logits(by_hand(load(base), adapter, config)),
    expected,
    rtol=0,
    atol=3e-4,
  )
  without = torch_logits(load(base))
  assert np.abs(without - expected).max() > 0.1, 'the adapters do nothing'
  tokenizer = transformers.AutoTokenizer.from_pretrained(adapter)
  assert tokenizer.chat_template
  endings = trained_run.model.lora.targets == LORA.targets
  assert all(endings != ('.' in t) for t in config['target_modules'])


def test_peft_loads_an_adapter_folder(trained_run, tmp_path):
  peft = pytest.importorskip('peft')
  base, adapter = tmp_path / 'base', tmp_path / 'adapter'
  export(trained_run, f'hf:{base}', adapters='drop')
  export(trained_run, f'peft:{adapter}', base_model=str(base))
  loaded = peft.PeftModel.from_pretrained(load(base), adapter).eval()
  np.testing.assert_allclose(
    torch_logits(loaded),
    our_logits(trained_run.model, trained_run.params),
    rtol=0,
    atol=3e-4,
  )
  # As PEFT itself would save it.
  loaded.save_pretrained(tmp_path / 'again')
  ours, theirs = (
    files.load_file(folder / 'adapter_model.safetensors')
    for folder in (adapter, tmp_path / 'again')
  )
  assert set(ours) == set(theirs)
  for name, value in theirs.items():
    np.testing.assert_array_equal(ours[name], value, err_msg=name)


def test_what_becomes_of_adapters_must_be_said(trained_run, tmp_path):
  with pytest.raises(schema.ConfigError, match='--adapters=merge'):
    export(trained_run, f'hf:{tmp_path / "x"}')
  with pytest.raises(schema.ConfigError, match='no meaning'):
    export(trained_run, f'peft:{tmp_path / "x"}', adapters='merge')
  assert not (tmp_path / 'x').exists()


def test_adapters_are_asked_of_a_checkpoint_that_has_none(tmp_path):
  theirs = published_models.write(tmp_path / 'theirs', published_models.CONFIG)
  run(f'hf:{theirs}', tmp_path / 'ours')
  with pytest.raises(schema.ConfigError, match='has no adapters'):
    run(tmp_path / 'ours', f'peft:{tmp_path / "x"}')
  with pytest.raises(schema.ConfigError, match='has no adapters'):
    run(tmp_path / 'ours', f'hf:{tmp_path / "x"}', adapters='merge')
  assert not (tmp_path / 'x').exists()
