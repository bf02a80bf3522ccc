"""Which package of mmseg may import which: each knows those of lower layers, and there is no circle of modules."""
from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parent.parent
LAYERS = [
    {'ownership', 'registry', 'toy_scenes', 'utils'},
    {'errors'},
    {'extras'},
    {'visualization', 'distributed', 'checkpoint'},
    {'datasets', 'models'},  # neither knows the other
    {'evaluation'},
    {'engine'},
    {'config'},
    {'report'},
    {'doctor', 'apis'},
    {'experiments', 'init', 'serve'},
    {'cli'},
    {'__main__'},
]
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names}
MODULES = {'.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__'): path
           for path in (ROOT / 'mmseg').rglob('*.py')}


def imported(path: Path, everywhere: bool) -> Iterator[str]:
    """Modules of mmseg that a file imports: when it is loaded, or also later, inside of functions."""
    tree = ast.parse(path.read_text(encoding='utf-8'))
    for node in ast.walk(tree) if everywhere else tree.body:
        if isinstance(node, ast.ImportFrom):
            for name in node.names:
                inner = f'{node.module}.{name.name}'
                yield inner if inner in MODULES else node.module
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def test_packages_import_from_lower_layers_only() -> None:
    for module, path in MODULES.items():
        own = module.split('.')[1] if module != 'mmseg' else 'apis'
        for other in imported(path, everywhere=True):
            package = other.split('.')[1] if other.startswith('mmseg.') else own
            assert package == own or LAYER[package] < LAYER[own], f'{module} imports {other}'


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {module: {other for other in imported(path, everywhere=False) if other in MODULES} - {'mmseg'}
             for module, path in MODULES.items()}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the modules


def outside(path: Path, *packages: str) -> list[str]:
    """Modules of other packages of the project that a file imports, also inside of functions."""
    return [other for other in imported(path, everywhere=True) if other.split('.')[0] in packages]


def test_nothing_in_the_package_knows_the_tools() -> None:
    for module, path in MODULES.items():
        others = outside(path, 'tools', 'dev', 'tests', 'demo')
        assert not others, f'{module} imports {others}'


def test_tools_may_use_dev_but_not_the_reverse() -> None:
    for path in (ROOT / 'dev').rglob('*.py'):
        others = outside(path, 'tools', 'tests', 'demo')
        assert not others, f'{path} imports {others}'


def test_tools_work_as_files_too() -> None:
    """``python tools/NAME.py`` finds mmseg, which is installed; other packages of the project need the folder.

    Of a program with several modules the first one, ``__main__.py``, sees to it.
    """
    for path in (ROOT / 'tools').rglob('*.py'):
        inner = path.name != '__main__.py' and (path.parent / '__main__.py').exists()
        if outside(path, 'tools', 'dev') and not inner:
            assert 'sys.path.insert(0, str(ROOT))' in path.read_text(encoding='utf-8'), path
