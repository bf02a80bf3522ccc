"""A .py config is a program; what looks like data runs nothing."""
from __future__ import annotations

import json
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from mmseg.config.places import OWN
from mmseg.config.reading import load_config
from mmseg.errors import ConfigError
from tools import print_config

PROOF = 'proof'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where configs lie that would leave a file if code in them ran, and a module that does."""
    code = f"import pathlib\npathlib.Path({str(tmp_path / PROOF)!r}).touch()\n"
    (tmp_path / 'evil_module.py').write_text(code)
    (tmp_path / 'evil.py').write_text(code + 'seed = 1\n')
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop('evil_module', None)


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert not (path.parent / PROOF).exists()
    return str(caught.value)


@pytest.mark.parametrize('text', [
    "seed: !!python/object/apply:os.system ['touch {proof}']",
    "seed: !!python/object/new:os.system ['touch {proof}']",
    "seed: !!python/name:os.system",
    "seed: !!python/module:evil_module",
    "seed: !!python/object:evil_module.X {{}}",
    "{{{{ !!python/object/apply:os.system ['touch {proof}'] }}}}",  # where MMEngine has its variables
    "x: {{{{ !!python/object/apply:os.system ['touch {proof}'] }}}}",
])
@pytest.mark.parametrize('suffix', ['.yaml', '.yml'])
def test_tags_in_yaml_run_nothing(folder: Path, text: str, suffix: str) -> None:
    path = folder / f'a{suffix}'
    path.write_text(text.format(proof=folder / PROOF))
    assert str(path) in refusal(path)
    with pytest.raises(ConfigError):
        print_config.main([str(path), '--trust-config'])  # trust is about Python files, there is no use for tags
    assert not (folder / PROOF).exists()


@pytest.mark.parametrize('name, content, trusted_seed', [
    ('a.json', dict(_base_='evil.py'), 1),
    ('a.json', dict(_base_=['./evil.py']), 1),
    ('a.yaml', dict(_base_='evil.py'), 1),
    ('a.json', dict(custom_imports=dict(imports=['evil_module']), seed=2), 2),
    ('a.yaml', dict(custom_imports=dict(imports=['evil_module']), seed=2), 2),
])
def test_data_names_python_only_where_it_is_trusted(folder: Path, name: str, content: dict, trusted_seed: int) -> None:
    path = folder / name
    path.write_text(json.dumps(content))
    message = refusal(path)
    assert str(path) in message and '--trust-config' in message and ('evil.py' in message) == ('_base_' in content)
    (folder / 'child.json').write_text(json.dumps(dict(_base_=name)))
    assert '--trust-config' in refusal(folder / 'child.json')
    assert load_config(path, trust=True).seed == trusted_seed
    assert (folder / PROOF).exists()


def test_bases_of_this_program_are_trusted(tmp_path: Path) -> None:
    (tmp_path / 'a.json').write_text(json.dumps(dict(_base_=str(OWN / '_base_' / 'default_runtime.py'), seed=3)))
    assert load_config(tmp_path / 'a.json').seed == 3


@pytest.mark.parametrize('text', [
    dedent('''
        a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
        b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]
        c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]
        d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]
        e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]
        f: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e, *e]
        '''),
    'a: &a [*a]', 'seed: ' + '[' * 500 + ']' * 500, 'seed: ' + '[' * 10**5,
], ids=['laughs', 'circle', 'nested', 'open'])
def test_nesting_without_end_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / 'a.yaml').write_text(text)
    assert 'a.yaml' in refusal(tmp_path / 'a.yaml')


def test_json_nested_without_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / 'a.json').write_text('{"seed": ' + '[' * 10**5)
    assert 'a.json' in refusal(tmp_path / 'a.json')
