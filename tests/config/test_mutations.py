"""Whatever is changed in a config is refused with its full key, or is harmless for a reason that stands here."""
from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dev.mutations.configs import CHANGES, READ, at, entries, is_harmless, plain
from mmseg.config.reading import load_config
from mmseg.config.schema import check_content
from mmseg.config.sections import OPTIMIZER
from mmseg.datasets.kinds import DATASET, STEPS
from mmseg.engine.custom_hooks import HOOK
from mmseg.errors import ConfigError
from mmseg.models.kinds import PART, SAMPLER
from mmseg.registry import OBJECTIVES
from mmseg.utils.kinds import FIXED, Kind, Missing, Needed, Problem, Typed
from mmseg.utils.options import OptionsOf, optional, options, parameters, required, takes_more

CONFIGS = Path(__file__).parents[2] / 'configs'
CHOSEN = (
    'combined/gtaHR2csHR_mic_hrda_mrm_dida.py', 'combined/csHR2acdcHR_mic_hrda_mrm_eb.py',
    '_base_/uda/advseg.py', '_base_/uda/minent.py', '_base_/models/danet_r50-d8.py',
    '_base_/models/deeplabv2_r50-d8.py', '_base_/models/deeplabv3plus_r50-d8.py', '_base_/models/segformer_r101.py',
    '_base_/models/daformer_isa_mitb5.py', '_base_/models/upernet_mit.py', '_base_/schedules/sgd.py')
TRIED: set[str] = set()  # in the configs so far: most have whole sections in common


def changed(content: dict[str, Any], tried: set[str] | None = None) -> Iterator[tuple[tuple, Any]]:
    """Change one thing after the other in place; gives its path, and 'misspelt' or the new value.

    Args:
        content: of a config.
        tried: what has been changed in other configs, by path and surroundings (two levels); it is left out here.
    """
    for path in entries(content):
        parent, name = at(content, path[:-1]), path[-1]
        surroundings = f'{path} {at(content, path[:-2])}' if len(path) > 2 else f'{path} {parent[name]}'
        if tried is not None and surroundings in tried:
            continue
        (set() if tried is None else tried).add(surroundings)
        before = parent.copy()
        if isinstance(parent, dict) and len(path) > 1:
            parent.clear()
            parent.update({f'{key}_' if key == name else key: value for key, value in before.items()})
            yield (*path[:-1], f'{name}_'), 'misspelt'
            parent.clear()
            parent.update(before)
        for change in () if isinstance(before[name], (dict, list)) else CHANGES:
            parent[name] = change
            if change != before[name]:
                yield path, change
            parent[name] = before[name]


def check_changes(content: dict[str, Any], tried: set[str] | None = None) -> int:
    """Try all changes of a config but those of places that were tried; returns their number."""
    count = 0
    for path, change in changed(content, tried):
        name = next(part for part in reversed(path) if isinstance(part, str))
        key, count = '.'.join(map(str, path)), count + 1
        try:
            check_content(content)
        except ConfigError as error:
            assert f'{key}.'.startswith(f'{error.key}.') and str(error).startswith(error.key), (key, change, error)
            assert len(path) - len(error.key.split('.')) <= 2, (key, error)  # a list says what its entries may be
        else:
            assert is_harmless(key, name, change), (key, change)
    return count


def content_of(name: str | Path) -> dict[str, Any]:
    return plain({key: value for key, value in load_config(CONFIGS / name).to_dict().items() if key in READ})


@pytest.mark.parametrize('name', CHOSEN)
def test_changes_of_chosen_configs(name):
    assert check_changes(content_of(name)) > 10


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore:.*margins without pseudo labels')
@pytest.mark.parametrize('path', sorted(CONFIGS.rglob('*.py')), ids=lambda path: path.relative_to(CONFIGS).as_posix())
def test_changes_of_all_configs(path):
    check_changes(content_of(path), TRIED)


def things() -> Iterator[tuple[str, Kind, type]]:
    """All classes that a config names, each with the kind of its section."""
    for kind in (PART, SAMPLER, STEPS.kind, DATASET.kinds[0], OPTIMIZER, HOOK):
        yield from ((name, kind, cls) for name, cls in kind.table().items() if name != 'Optimizer')
    for name, cls in OBJECTIVES.module_dict.items():
        yield name, OptionsOf(lambda cls=cls: cls), cls


THINGS = list(things())


def mistakes(kind: Kind, value: Any) -> list[Problem]:
    """What is wrong with the keys that are there."""
    return [problem for problem in kind.problems(value, 'part') if not isinstance(problem, Missing)]


@pytest.mark.parametrize('name, kind, cls', THINGS, ids=[name for name, _, _ in THINGS])
def test_every_argument_of_every_class(name, kind, cls):
    """Defaults are accepted, wrong names and values are refused."""
    typed = isinstance(kind, Typed)
    known = kind.section(cls, dict(type=name)).kinds if typed else optional(cls)
    defaults = {parameter.name: parameter.default for parameter, _ in reversed(list(parameters(cls)))}
    for key, own in known.items():
        default = defaults.get(key, inspect.Parameter.empty)
        for value in (*CHANGES, default):
            problems = mistakes(kind, {**(dict(type=name) if typed else {}), key: value})
            if value is inspect.Parameter.empty:
                continue
            if value is default and own is not FIXED:
                assert not problems or value is None, problems
            elif problems:
                assert problems[0].key.startswith(f'part.{key}')
            else:
                assert is_harmless(f'part.{key}', key, value) or value is None is default, (key, value)
        assert mistakes(kind, {**dict(type=name), f'{key}_': 1})[-1].key == f'part.{key}_'


@pytest.mark.parametrize('name, kind, cls', THINGS, ids=[name for name, _, _ in THINGS])
def test_what_a_class_declares_it_takes(name, kind, cls):
    taken = {parameter.name for parameter, _ in parameters(cls)}
    assert takes_more(cls) or options(cls).keys() <= taken


@pytest.mark.parametrize('name, kind, cls', THINGS, ids=[name for name, _, _ in THINGS])
def test_every_argument_without_a_default_is_missed(name, kind, cls):
    if not isinstance(kind, Typed):  # objectives get these from their host
        return
    fixed = {key for key, own in kind.section(cls, dict(type=name)).kinds.items() if own is FIXED}
    wanted = {f'part.{key}' for key in required(cls) - fixed - kind.more.keys()}
    wanted |= {f'part.{key}' for key, own in kind.more.items() if isinstance(own, Needed)}
    assert {problem.key for problem in kind.problems(dict(type=name), 'part') if isinstance(problem, Missing)} == wanted
