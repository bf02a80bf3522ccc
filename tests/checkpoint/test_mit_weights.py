"""``pretrained='mit_b0'``: weights from a server that speaks the Hub's protocol, into pretrained/."""
from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from torch import Tensor, nn

from mmseg.checkpoint.mit_weights import REVISIONS
from mmseg.checkpoint.pretrained import to_download
from mmseg.errors import CheckpointError
from mmseg.models import build_backbone
from tests.hub_server import Hub, serving

REPOSITORY = 'smp-hub/mit_b0.imagenet'
FILE = (REPOSITORY, 'model.safetensors')
B0 = dict(type='mit_b0', pretrained='mit_b0')
PLACE = Path('pretrained', 'mit_b0.safetensors')


@pytest.fixture(scope='module')
def state() -> dict[str, Tensor]:
    return {k: torch.rand_like(v) for k, v in build_backbone(dict(type='mit_b0')).state_dict().items()}


@pytest.fixture()
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: dict[str, Tensor]) -> Iterator[Hub]:
    """The server with MiT-B0; the working directory and the client's cache are empty."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_CACHE', str(tmp_path / 'cache'))
    with serving() as server:
        monkeypatch.setenv('HF_ENDPOINT', server.url)
        server.files[FILE] = save(state)
        yield server


def loaded(**changes: str) -> nn.Module:
    backbone = build_backbone({**B0, **changes})
    backbone.init_weights()
    return backbone


def same(backbone: nn.Module, state: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, state[name]) for name, value in backbone.state_dict().items())


def nothing_is_left() -> bool:
    return not [path for path in Path('pretrained').iterdir() if not path.name.endswith('.lock')]


@pytest.mark.parametrize('source', ['mit_b0', 'pretrained/mit_b0.pth'])
def test_weights_are_fetched_once(hub: Hub, state: dict[str, Tensor], source: str) -> None:
    assert same(loaded(pretrained=source), state)
    assert hub.revisions == {REVISIONS['mit_b0']} and PLACE.read_bytes() == hub.files[FILE]
    hub.requests.clear()
    assert same(loaded(pretrained=source), state) and not hub.requests


def test_the_authors_file_is_taken_where_it_lies(hub: Hub, state: dict[str, Tensor]) -> None:
    Path('pretrained').mkdir()
    torch.save({**state, 'head.weight': torch.zeros(1000, 256)}, 'pretrained/mit_b0.pth')
    assert same(loaded(), state) and not hub.requests


def test_a_pickle_is_read_where_there_are_no_safetensors(hub: Hub, state: dict[str, Tensor]) -> None:
    torch.save(state, content := io.BytesIO())
    del hub.files[FILE]
    hub.files[REPOSITORY, 'pytorch_model.bin'] = content.getvalue()
    assert same(loaded(), state) and Path('pretrained', 'mit_b0.pth').exists()


def renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.replace('patch_embed1', 'stem'): value for name, value in state.items()}


def reshaped(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**state, 'norm4.weight': torch.zeros(5)}


@pytest.mark.parametrize('change, words', [
    (renamed, r'missing: patch_embed1\.proj'), (reshaped, r'norm4\.weight \(5,\) instead of \(256,\)')])
def test_weights_of_another_network_are_not_kept(hub: Hub, state: dict[str, Tensor], words: str,
                                                 change: Callable[[dict], dict]) -> None:
    hub.files[FILE] = save(change(state))
    with pytest.raises(CheckpointError, match=rf'(?s)mit_b0: .*{REPOSITORY}.*{words}.*put it at {PLACE}') as caught:
        loaded()
    assert '.unfinished' not in str(caught.value) and nothing_is_left()


def test_a_damaged_file_is_not_kept(hub: Hub) -> None:
    hub.files[FILE] = b'x' * 1000
    with pytest.raises(CheckpointError, match=rf'(?s)mit_b0: .*damaged.*put it at {PLACE}'):
        loaded()
    assert nothing_is_left()


def test_a_download_that_ends_early_is_not_kept(hub: Hub, state: dict[str, Tensor]) -> None:
    hub.cut = 1000
    with pytest.raises(FileNotFoundError, match=rf'(?s)mit_b0: .*size.*put it at {PLACE}'):
        loaded()
    assert nothing_is_left()
    hub.cut = 0
    assert same(loaded(), state)


@pytest.mark.parametrize('there', [[], [(REPOSITORY, 'config.json')]], ids=['no repository', 'no file'])
def test_what_the_hub_does_not_have(hub: Hub, there: list[tuple[str, str]]) -> None:
    hub.files = dict.fromkeys(there, b'{}')
    address = f'https://huggingface.co/{REPOSITORY}/resolve/{REVISIONS["mit_b0"]}/model.safetensors'
    with pytest.raises(FileNotFoundError, match=rf'(?s)mit_b0: .*[Nn]ot [Ff]ound.*{address}.*put it at {PLACE}'):
        loaded()
    assert nothing_is_left()


def test_without_a_network_file_and_folder_are_named(hub: Hub, state: dict[str, Tensor],
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('HF_ENDPOINT', 'http://127.0.0.1:1')
    with pytest.raises(FileNotFoundError, match=rf'(?s)mit_b0: cannot .*model\.safetensors.*put it at {PLACE}'):
        loaded()
    PLACE.write_bytes(hub.files[FILE])
    assert same(loaded(), state)


def test_the_name_of_another_network_is_refused_before_anything_is_fetched(hub: Hub) -> None:
    with pytest.raises(CheckpointError, match='mit_b5.*another network than mit_b0'):
        loaded(pretrained='mit_b5')
    with pytest.raises(CheckpointError, match='mit_b5.*another network than ResNet'):
        build_backbone(dict(type='ResNet', depth=18, pretrained='mit_b5')).init_weights()
    assert not hub.requests


def test_what_a_training_would_download(hub: Hub) -> None:
    assert str(REVISIONS['mit_b0']) in to_download('mit_b0', 'mit_b0')
    loaded()
    assert to_download('mit_b0', 'mit_b0') is to_download('pretrained/mit_b0.pth', 'mit_b0') is None
    assert to_download('pretrained/other.pth', 'mit_b0') is None
    assert to_download('https://example.org/a.pth', 'ResNet') == 'https://example.org/a.pth'


LOAD = '''
from mmseg.errors import command
from mmseg.models import build_backbone
command(lambda: build_backbone(dict(type='mit_b0', pretrained='mit_b0')).init_weights())
'''


def started(hub: Hub, **environment: str) -> subprocess.Popen[str]:
    root = str(Path(__file__).parents[2])
    return subprocess.Popen([sys.executable, '-c', LOAD], stderr=subprocess.PIPE, text=True, env=dict(
        os.environ, PYTHONPATH=root, HF_ENDPOINT=hub.url, HF_HOME=str(Path('home').absolute()), **environment))


def test_processes_at_once_download_once_and_an_offline_one_not_at_all(hub: Hub) -> None:
    offline = started(hub, HF_HUB_OFFLINE='1')
    message = offline.communicate()[1]
    assert offline.returncode == 1 and not hub.requests
    assert 'HF_HUB_OFFLINE' in message and f'put it at {PLACE}' in message and 'Traceback' not in message
    both = [started(hub) for _ in range(2)]
    assert [(process.communicate()[1], process.returncode)[1] for process in both] == [0, 0]
    assert hub.downloads == {FILE: 1} and PLACE.read_bytes() == hub.files[FILE]
