"""Notebooks are stored without output and run from top to bottom."""

import json
import pathlib

import nbclient
import nbformat
import pytest
import synthetic_experiment

NOTEBOOKS = pathlib.Path(__file__).parent.parent / 'notebooks'


@pytest.mark.parametrize(
  'path', sorted(NOTEBOOKS.glob('*.ipynb')), ids=lambda p: p.name
)
def test_notebooks_are_stored_without_output(path):
  notebook = json.loads(path.read_text(encoding='utf-8'))
  code = [c for c in notebook['cells'] if c['cell_type'] == 'code']
  assert code
  for cell in code:
    assert cell['outputs'] == []
    assert cell['execution_count'] is None


def test_the_quickstart_notebook_draws_the_result(tmp_path, monkeypatch):
  workdir = synthetic_experiment.write(tmp_path / 'run', seeds=(0, 1))
  monkeypatch.setenv('MSM_WORKDIR', str(workdir))
  notebook = nbformat.read(NOTEBOOKS / 'quickstart.ipynb', as_version=4)
  client = nbclient.NotebookClient(
    notebook, timeout=120, resources={'metadata': {'path': str(tmp_path)}}
  )
  client.execute()
  outputs = [
    output
    for cell in notebook.cells
    if cell.cell_type == 'code'
    for output in cell.outputs
  ]
  assert not [o for o in outputs if o.output_type == 'error']
  assert not [o for o in outputs if o.get('name') == 'stderr']
  drawn = [
    o for o in outputs if '<svg' in o.get('data', {}).get('text/html', '')
  ]
  assert len(drawn) == 5
  printed = ''.join(o.text for o in outputs if o.output_type == 'stream')
  assert 'Alignment out of distribution, and its tax' in printed
  assert 'MSM-thrift + SFT' in printed
