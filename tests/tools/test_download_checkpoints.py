"""tools/download_checkpoints.sh with stand-ins for curl: nothing here reaches the network."""
from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from safetensors.torch import save

from mmseg.models import build_backbone
from tests.hub_server import serving

SCRIPT = Path(__file__).parents[2] / 'tools' / 'download_checkpoints.sh'
RUN = 'work_dirs/211108_1622_gta2cs_daformer_s0_7f24c'
PROGRAMS = ('sh', 'find', 'head', 'od', 'tr', 'dd', 'mkdir', 'mv', 'rm', 'rmdir', 'dirname', 'tar', 'gzip', 'cp')


def _program(path: Path, script: str) -> None:
    path.write_text(f'#!/bin/sh\n{script}\n')
    path.chmod(0o755)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the script, in which curl copies ``answer`` if that exists, else fails."""
    (tmp_path / 'tools').mkdir()
    shutil.copy(SCRIPT, tmp_path / 'tools')
    programs = tmp_path / 'bin'
    programs.mkdir()
    for name in PROGRAMS:
        (programs / name).symlink_to(shutil.which(name))
    _program(programs / 'python3', f'exec "{sys.executable}" "$@"')
    _program(programs / 'curl', f'while [ "$1" != -o ]; do shift; done\ncp "{tmp_path}/answer" "$2" 2>/dev/null')
    return tmp_path


def run(checkout: Path, *names: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(['sh', 'tools/download_checkpoints.sh', *names], cwd=checkout, capture_output=True, text=True,
                          env=dict(os.environ, PATH=str(checkout / 'bin')), check=False)


def test_archive_is_unpacked_to_its_place_and_kept(checkout: Path):
    with zipfile.ZipFile(checkout / 'answer', 'w') as archive:
        archive.writestr('folder/latest.pth', b'weights')
        archive.writestr('folder/config.json', '{}')
    result = run(checkout, 'daformer_gta2cs')
    assert result.returncode == 0, result.stdout + result.stderr
    assert (checkout / RUN / 'latest.pth').read_bytes() == b'weights'
    assert (checkout / RUN / 'config.json').is_file()
    (checkout / 'answer').unlink()
    assert run(checkout, 'daformer_gta2cs').returncode == 0, 'a second run needs no download'


def test_hrda_is_fetched_and_the_place_of_its_others_named(checkout: Path):
    with zipfile.ZipFile(checkout / 'answer', 'w') as archive:
        archive.writestr('gtaHR2csHR_hrda_246ef/latest.pth', b'weights')
    _program(checkout / 'bin' / 'gdown', f'echo "$1" > "{checkout}/asked"\ncp "{checkout}/answer" "$3"')
    result = run(checkout, 'hrda')
    assert result.returncode == 0, result.stdout + result.stderr
    assert (checkout / 'asked').read_text().strip().endswith('id=1O6n1HearrXHZTHxNRWp8HCMyqbulKcSW')
    assert (checkout / 'work_dirs/gtaHR2csHR_hrda_246ef/latest.pth').read_bytes() == b'weights'
    assert 'hrda_others: ' in result.stdout and 'https://github.com/lhoyer/HRDA' in result.stdout


def test_without_network_every_entry_is_explained(checkout: Path):
    for name in ('curl', 'python3'):
        _program(checkout / 'bin' / name, f'echo "{name}: (6) Could not resolve host" >&2; exit 6')
    result = run(checkout)
    assert result.returncode == 1
    assert 'https://drive.google.com/file/d/1O6n1HearrXHZTHxNRWp8HCMyqbulKcSW' in result.stdout
    assert '12 entries must be fetched by hand' in result.stdout
    assert result.stdout.count('    to    ') == 12 and 'work_dirs/gtaHR2csHR_hrda_246ef/' in result.stdout


@pytest.mark.parametrize('answer', [b'<!DOCTYPE html><html>quota exceeded</html>', b'', b'PK\x03\x04cut off', None])
def test_failure_names_page_and_place_and_leaves_nothing(checkout: Path, answer: bytes | None):
    if answer is not None:
        (checkout / 'answer').write_bytes(answer)
    result = run(checkout, 'daformer_gta2cs')
    assert result.returncode == 1
    assert 'https://drive.google.com/file/d/1pG3kDClZDGwp1vSTEXmTchkGHmnLQNdP/view' in result.stdout
    assert RUN in result.stdout
    assert list((checkout / 'work_dirs').iterdir()) == []


def test_folder_with_a_users_files_is_left_alone(checkout: Path):
    with zipfile.ZipFile(checkout / 'answer', 'w') as archive:
        archive.writestr('folder/latest.pth', b'weights')
    (checkout / RUN).mkdir(parents=True)
    (checkout / RUN / 'notes.txt').write_text('mine')
    assert run(checkout, 'daformer_gta2cs').returncode == 1
    assert [path.name for path in (checkout / RUN).iterdir()] == ['notes.txt']


def test_imagenet_weights_come_from_the_hub(checkout: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv('PYTHONPATH', str(SCRIPT.parents[1]))
    monkeypatch.setenv('HF_HOME', str(checkout / 'home'))
    with serving() as hub:
        monkeypatch.setenv('HF_ENDPOINT', hub.url)
        result = run(checkout, 'mit_b0')
        assert result.returncode == 1 and 'not found' in result.stderr.lower() and 'Traceback' not in result.stderr
        assert 'https://huggingface.co/smp-hub/mit_b0.imagenet' in result.stdout
        assert 'pretrained/mit_b0.safetensors' in result.stdout
        hub.files['smp-hub/mit_b0.imagenet', 'model.safetensors'] = save(
            build_backbone(dict(type='mit_b0')).state_dict())
        assert run(checkout, 'mit_b0').returncode == 0
    assert (checkout / 'pretrained' / 'mit_b0.safetensors').is_file()
