"""The snippets of docs/how-to/python.md run as they are written, one after the other."""
from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import mmseg
from mmseg.apis import load_config
from mmseg.apis.model import Model
from mmseg.config.reading import format_config
from tests.test_docs import fenced
from tests.tiny import TinyRun, make_tiny_run

ROOT = Path(__file__).parents[2]


def prepare(folder: Path, run: TinyRun) -> None:
    """What the page speaks of, in a folder: a run, an image, and two data sets."""
    checkpoint = torch.load(run.checkpoint, weights_only=True)
    checkpoint['meta']['config'] = format_config(load_config(run.config).to_dict())
    torch.save(checkpoint, run.checkpoint)
    shutil.copytree(run.folder, folder / 'work_dirs/my_run')
    shutil.copy(run.image('bonn', 0), folder / 'street.png')
    shutil.copytree(run.data, folder / 'data/elsewhere')
    for part, source, suffix in (('rgb_anon/val', run.image('bonn', 0), '_rgb_anon.png'),
                                 ('gt/val', run.label('bonn', 0), '_gt_labelTrainIds.png')):
        (folder / 'data/acdc' / part).mkdir(parents=True)
        shutil.copy(source, folder / 'data/acdc' / part / f'a{suffix}')


def test_the_page_runs_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(tmp_path, make_tiny_run(tmp_path / 'made'))
    trained: dict[str, Any] = {}
    published: list[Any] = []

    def train(config: str, **overrides: Any) -> Model:  # minutes
        trained.update(load_config(config, overrides).to_dict())
        return mmseg.load('work_dirs/my_run')

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mmseg, 'train', train, raising=False)
    monkeypatch.setattr(Model, 'push_to_hub', lambda model, *args, **kwargs: published.append((args, kwargs)))
    snippets = fenced(ROOT / 'docs/how-to/python.md', 'python')
    names: dict[str, Any] = {}
    for snippet in snippets:
        exec(snippet, names)
    assert len(snippets) == 4 and 0 <= names['scores']['mIoU'] <= 1
    with Image.open('street_pred.png') as picture:
        assert picture.size == (96, 64)
    assert (trained['runner']['max_iters'], trained['data']['samples_per_gpu'], trained['seed']) == (200, 4, 1)
    assert sorted(path.name for path in Path('small').iterdir()) == ['README.md', 'model.safetensors']
    assert published == [(('owner/name', names['scores']), dict(licence='apache-2.0'))]
