"""tools/cache_dataset.py as people call it."""
from __future__ import annotations

import pytest

from mmseg.apis import load_config
from mmseg.datasets import build_dataset
from mmseg.errors import command
from tests.datasets import scenes
from tools.cache_dataset import main


@pytest.fixture
def config(tmp_path):
    game, city = scenes.write_game(tmp_path / 'game'), scenes.write_city(tmp_path / 'city')
    path = tmp_path / 'config.py'
    path.write_text(f'data = dict(train={scenes.uda_cfg(game, city)!r})\n')
    return path


def test_from_config_to_cached_config(config, tmp_path, capsys) -> None:
    main([str(config), '--out', str(tmp_path / 'cache'), '--nproc', '2'])
    option = capsys.readouterr().out.split('--options ')[1].strip()
    key, _, value = option.partition('=')
    cfg = load_config(config, {key: value})
    assert build_dataset(cfg.data.train)[0]['img'].shape == (3, 32, 32)


@pytest.mark.parametrize('text, kind', [
    ('data = dict(train={game})', 'GTADataset'), ('data = dict(train=[{game}])', r'\[.*'), ('data = {{}}', 'None'),
    ('seed = 1', 'None')
], ids=['other', 'list', 'no train', 'no data'])
def test_other_data_sets_are_refused(config, tmp_path, text, kind) -> None:
    config.write_text(text.format(game=scenes.game_cfg(tmp_path / 'game')) + '\n')
    with pytest.raises(SystemExit, match=f'error: data.train is no UDADataset, but {kind}: only the parts of one'):
        command(lambda: main([str(config), '--out', str(tmp_path / 'cache')]))
