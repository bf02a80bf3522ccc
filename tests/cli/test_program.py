"""The one command, and the files in a clone by which people call the same functions."""
from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import mmseg
from mmseg import cli, ownership
from mmseg.config import load_config
from mmseg.errors import ConfigError
from mmseg.utils.commands import called

ROOT = Path(__file__).parents[2]
TOOLS = ['run_experiments', 'create_buffer',
         *(f'tools.{path.stem}' for path in sorted((ROOT / 'tools').glob('[!_]*.py')))]


def program(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, '-m', 'mmseg', *arguments], cwd=folder, capture_output=True, text=True)


def test_help_names_every_command(capsys: pytest.CaptureFixture) -> None:
    cli.main(['--help'])
    text = capsys.readouterr().out
    assert all(f'\n  {name} ' in text for name in cli.COMMANDS)
    assert {'train', 'test', 'predict', 'doctor', 'browse', 'experiments', 'convert', 'export', 'certify',
            'demo'} <= set(cli.COMMANDS)


def test_version(capsys: pytest.CaptureFixture) -> None:
    cli.main(['--version'])
    assert capsys.readouterr().out.strip() == mmseg.__version__


def test_help_loads_no_torch() -> None:
    """Help comes at once: torch, OpenCV and what brings them is loaded when it is used."""
    code = '\n'.join([
        'import sys', 'from mmseg import cli', f'for name in {list(cli.COMMANDS)}:', '    try:',
        '        cli.main([name, "--help"])', '    except SystemExit as end:', '        assert not end.code, name',
        f'for name in {[*TOOLS, "demo.image_demo"]}:', '    __import__(name)',
        'try:', '    cli.main(["convert", "gta", "--help"])', 'except SystemExit:', '    pass',
        'print([name for name in ("torch", "cv2", "mmengine", "timm") if name in sys.modules])'])
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == '[]', done.stderr


@pytest.mark.parametrize('tool', TOOLS)
def test_files_in_a_clone_call_the_same_functions(tool: str) -> None:
    name = tool.rpartition('.')[2]
    assert import_module(tool).main is import_module(f'mmseg.cli.{name}').main


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    unknown, missing = program('trian'), program('config', 'toy/mik.py', folder=tmp_path)
    assert unknown.returncode == missing.returncode == 1
    assert unknown.stderr == "python -m mmseg: there is no command 'trian', did you mean 'train'?\n"
    assert missing.stderr.startswith('error: config file toy/mik.py does not exist, did you mean toy/mic.py')
    assert missing.stderr.count('\n') == 1


def test_configs_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the config that names them, in the current folder, in the package, in this order."""
    monkeypatch.chdir(tmp_path)
    own = load_config('daformer/gta2cs_uda_warm_fdthings_rcs_croppl_a999_daformer_mitb5_s0')
    assert Path(own.filename).is_relative_to(ROOT / 'configs') and own.uda.type == 'DACS'
    assert load_config('configs/toy/mic.py').to_dict() == load_config('toy/mic.py').to_dict()
    (tmp_path / 'sub').mkdir()
    (tmp_path / 'sub/mine.py').write_text("_base_ = ['toy/mic.py', 'here.py']\n")
    (tmp_path / 'here.py').write_text('exp = 3\n')
    assert load_config('sub/mine.py').exp == 3 and load_config('sub/mine.py').uda.mask_mode == 'separatetrgaug'
    (tmp_path / 'sub/here.py').write_text('exp = 4\n')
    assert load_config('sub/mine.py').exp == 4
    with pytest.raises(ConfigError, match='daformer/gta2cs.py does not exist, did you mean daformer/'):
        load_config('daformer/gta2cs.py')


def test_messages_name_what_works_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert called('browse', 'browse_dataset') == 'python -m tools.browse_dataset'
    monkeypatch.chdir(tmp_path)
    assert called('browse', 'browse_dataset') == 'udaseg browse'


class Mmsegmentation:
    """An installed distribution of that name in some folder."""
    version = '1.2.2'

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def locate_file(self, name: str) -> Path:
        return self.folder / name


def test_mmsegmentation_in_the_same_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownership.metadata, 'distribution', lambda name: Mmsegmentation(tmp_path))
    assert ownership.second_owner() is None  # it is elsewhere
    monkeypatch.setattr(ownership.metadata, 'distribution', lambda name: Mmsegmentation(ROOT))
    with pytest.raises(ImportError, match='mmsegmentation 1.2.2 has its files in the same folder'):
        ownership.refuse_a_second_owner()


@pytest.mark.parametrize('content', ["raise AssertionError('mmcv is too new')", "__version__ = '1.2.2'"])
def test_the_command_says_whose_package_it_has_found(tmp_path: Path, content: str) -> None:
    (tmp_path / 'mmseg').mkdir()
    (tmp_path / 'mmseg/__init__.py').write_text(content)
    code = f'import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]; import udaseg; udaseg.main()'
    done = subprocess.run([sys.executable, '-c', code, 'doctor'], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.count('\n') == 1
    assert done.stderr.startswith('error: mmseg is not the package of udaseg') and str(tmp_path) in done.stderr


def test_the_command_says_that_its_package_is_mixed_with_another_one(tmp_path: Path) -> None:
    (tmp_path / 'mmseg').symlink_to(ROOT / 'mmseg')
    (tmp_path / 'mmsegmentation-1.2.2.dist-info').mkdir()
    (tmp_path / 'mmsegmentation-1.2.2.dist-info/METADATA').write_text('Name: mmsegmentation\nVersion: 1.2.2\n')
    code = f'import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]; import udaseg; udaseg.main()'
    done = subprocess.run([sys.executable, '-c', code, 'doctor'], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.count('\n') == 1
    assert done.stderr.startswith('error: mmsegmentation 1.2.2 has its files in the same folder')
