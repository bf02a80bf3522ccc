"""The notebook of demo/ runs from top to bottom, and shows what it promises."""
from __future__ import annotations

import signal
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_the_tutorial_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip('nbformat', reason='nbclient runs the notebook: pip install nbclient ipykernel')
    client = pytest.importorskip('nbclient', reason='pip install nbclient ipykernel')
    pytest.importorskip('ipykernel', reason='pip install ipykernel')
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    monkeypatch.setenv('MPLBACKEND', 'module://matplotlib_inline.backend_inline')
    notebook = nbformat.read(ROOT / 'demo' / 'tutorial.ipynb', as_version=4)
    assert not any(cell.get('outputs') for cell in notebook.cells), 'outputs are not committed'
    interrupted = signal.getsignal(signal.SIGINT)
    client.NotebookClient(notebook, timeout=500, resources=dict(metadata=dict(path=str(ROOT / 'demo')))).execute()
    signal.signal(signal.SIGINT, interrupted)  # the client leaves the default
    outputs = [output for cell in notebook.cells for output in cell.get('outputs', ())]
    assert sum('image/png' in output.get('data', {}) for output in outputs) == 2
    text = ''.join(output.get('text', '') for output in outputs)
    assert 'method: DACS, DAFormer' in text and '| mIoU |' in text
