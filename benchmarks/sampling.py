"""How much faster `models.sample` is than `generate` of `transformers`.

  python benchmarks/sampling.py

Both run the same random Llama of 31.6M parameters in float32 on this machine:
8 prompts of 64 tokens, 128 new tokens each, greedy. They must choose the same
tokens. Each lives in a process of its own, since two pools of threads in one
process disturb each other, and they take turns, so that what else runs here
meets both. Programs are compiled and caches warm before the first turn. The
ratio of each pair of turns is what is printed last: its median and its spread.
`--sampled` draws at temperature 0.8 with top-k 50 and top-p 0.95 instead.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

from absl import app
from absl import flags
import numpy as np

from msm_jax import log

PAIRS = flags.DEFINE_integer('pairs', 9, 'pairs of turns')
BATCH = flags.DEFINE_integer('batch', 8, 'prompts')
PROMPT = flags.DEFINE_integer('prompt', 64, 'tokens of each prompt')
NEW = flags.DEFINE_integer('new', 128, 'new tokens of each')
CORES = flags.DEFINE_integer('cores', 2, 'that each may use')
SAMPLED = flags.DEFINE_bool('sampled', False, 'draw instead of greedy')
WORKER = flags.DEFINE_enum('worker', None, ['jax', 'torch'], 'for itself')
WEIGHTS = flags.DEFINE_string('weights', None, 'for itself')

V, D, N, H, K, C, F = 16384, 512, 8, 8, 4, 64, 1376
TEMPERATURE, TOP_K, TOP_P = 0.8, 50, 0.95


def prompts() -> np.ndarray:
  rng = np.random.default_rng(0)
  return rng.integers(3, V, (BATCH.value, PROMPT.value))


def torch_worker() -> Any:
  """Returns a function that samples once, with `transformers`."""
  import torch
  import transformers

  torch.set_num_threads(CORES.value)
  torch.manual_seed(0)
  config = transformers.LlamaConfig(
    vocab_size=V,
    hidden_size=D,
    intermediate_size=F,
    num_hidden_layers=N,
    num_attention_heads=H,
    num_key_value_heads=K,
    head_dim=C,
    tie_word_embeddings=True,
    eos_token_id=None,
    bos_token_id=None,
    pad_token_id=0,
  )
  model = transformers.LlamaForCausalLM(config).eval()
  n = sum(p.numel() for p in model.parameters())
  print(f'{n / 1e6:.1f}M parameters', file=sys.stderr)
  np.savez(
    WEIGHTS.value, **{k: v.numpy() for k, v in model.state_dict().items()}
  )
  tokens = torch.from_numpy(prompts())
  how: dict[str, Any] = {'do_sample': False}
  if SAMPLED.value:
    how = {
      'do_sample': True,
      'temperature': TEMPERATURE,
      'top_k': TOP_K,
      'top_p': TOP_P,
    }

  def once() -> list[list[int]]:
    with torch.inference_mode():
      out = model.generate(
        tokens,
        attention_mask=torch.ones_like(tokens),
        max_new_tokens=NEW.value,
        min_new_tokens=NEW.value,
        **how,
      )
    return out[:, PROMPT.value :].tolist()

  return once


def jax_worker() -> Any:
  """Returns a function that samples once, with `models.Sampler`."""
  from msm_jax import models

  weights = np.load(WEIGHTS.value)

  def stacked(name: str, *shape: int) -> np.ndarray:
    """Kernels have inputs before outputs, and layers before both."""
    layers = [weights[f'model.layers.{n}.{name}.weight'] for n in range(N)]
    return np.stack([w.T.reshape(shape) for w in layers])

  model = models.Model(
    models.DecoderConfig(
      vocab_size=V,
      d_model=D,
      n_layers=N,
      n_heads=H,
      n_kv_heads=K,
      head_dim=C,
      d_ff=F,
      scale_embeddings=False,
    )
  )
  params = {
    'embedding_VD': weights['model.embed_tokens.weight'],
    'final_norm': {'scale': weights['model.norm.weight']},
    'layers': {
      'attention': {
        'q': {'kernel': stacked('self_attn.q_proj', D, H, C)},
        'k': {'kernel': stacked('self_attn.k_proj', D, K, C)},
        'v': {'kernel': stacked('self_attn.v_proj', D, K, C)},
        'out': {'kernel': stacked('self_attn.o_proj', H, C, D)},
      },
      'attention_norm': {'scale': stacked('input_layernorm', D)},
      'mlp': {
        'gate': {'kernel': stacked('mlp.gate_proj', D, F)},
        'up': {'kernel': stacked('mlp.up_proj', D, F)},
        'down': {'kernel': stacked('mlp.down_proj', F, D)},
      },
      'mlp_norm': {'scale': stacked('post_attention_layernorm', D)},
    },
  }
  sampler = models.Sampler(model, params)
  config = models.SamplingConfig(max_new_tokens=NEW.value, temperature=0)
  if SAMPLED.value:
    config = models.SamplingConfig(
      max_new_tokens=NEW.value,
      temperature=TEMPERATURE,
      top_k=TOP_K,
      top_p=TOP_P,
    )
  tokens = prompts().tolist()

  def once() -> list[list[int]]:
    return [sample.tokens for sample in sampler.sample(tokens, config)]

  return once


def work() -> None:
  """Samples once for each line of the input, and says how long it took."""
  log.configure()
  os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: CORES.value])
  once = {'jax': jax_worker, 'torch': torch_worker}[WORKER.value]()
  for _ in range(2):
    tokens = once()
  print(json.dumps(tokens), flush=True)
  for _ in sys.stdin:
    begin = time.perf_counter()
    tokens = once()
    seconds = time.perf_counter() - begin
    assert all(len(row) == NEW.value for row in tokens)
    print(seconds, flush=True)


def compare() -> None:
  with tempfile.TemporaryDirectory() as folder:
    command = [sys.executable, *sys.argv]
    command += [f'--weights={pathlib.Path(folder) / "weights.npz"}']
    workers, chosen = {}, {}
    # Torch first, whose weights JAX reads.
    for name in ('torch', 'jax'):
      workers[name] = subprocess.Popen(
        [*command, f'--worker={name}'],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
      )
      chosen[name] = json.loads(workers[name].stdout.readline())
    if not SAMPLED.value:
      same = np.mean(np.asarray(chosen['jax']) == np.asarray(chosen['torch']))
      print(f'{same:.1%} of the tokens are the same')
    seconds: dict[str, list[float]] = {name: [] for name in workers}
    for _ in range(PAIRS.value):
      for name, worker in workers.items():
        # Threads of the other one may spin for a while.
        time.sleep(0.5)
        worker.stdin.write('go\n')
        seconds[name].append(float(worker.stdout.readline()))
    for worker in workers.values():
      worker.stdin.close()
      worker.wait()
  n = BATCH.value * NEW.value
  for name, times in seconds.items():
    print(f'{name}: {n / statistics.median(times):,.0f} tokens/s')
  ratios = sorted(
    theirs / ours
    for theirs, ours in zip(seconds['torch'], seconds['jax'], strict=True)
  )
  print(
    f'tokens/s of msm_jax over transformers: {statistics.median(ratios):.2f} '
    f'({ratios[0]:.2f} to {ratios[-1]:.2f})'
  )


def main(argv: list[str]) -> None:
  del argv
  if WORKER.value:
    work()
  else:
    compare()


if __name__ == '__main__':
  app.run(main)
