"""Reading configs: Python, JSON or YAML with ``_base_`` files, in the dialect of DAFormer, HRDA and MIC."""
from __future__ import annotations

import ast
import io
import json
import os
import re
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import mmengine
import yaml
from mmengine.config import Config
from mmengine.fileio import register_handler
from mmengine.fileio.handlers import YamlHandler

from mmseg.config.in_code import warn_of_methods_in_code
from mmseg.config.legacy import OLD, apply_legacy_fixes
from mmseg.config.places import bases_found, find_config, is_own
from mmseg.config.schema import TOP_LEVEL, check_content, is_variable, unknown
from mmseg.errors import ConfigError, ConfigKeyMissing, ConfigMergeError
from mmseg.utils.config_text import format_config
from mmseg.utils.names import nearest
from mmseg.utils.nested import leaves

__all__ = ['ConfigError', 'dump_config', 'format_config', 'load_config', 'validate_config']

SUFFIXES = ('.py', '.json', '.yml', '.yaml')
TRAINING = ('model', 'data', 'runner', 'optimizer')  # sections that every training needs
UNTRUSTED = (', which would run code, and a .json or .yaml file is read as data. If you trust it, load it with '
             '--trust-config (in Python load_config(path, trust=True)), or write it as a .py file')


_parsing = threading.RLock()  # Python 3.11 has one counter for the syntax trees of all threads


@register_handler(['yaml', 'yml'])
class SafeYamlHandler(YamlHandler):
    """MMEngine's reader of YAML, which would run the code that a tag names, without tags."""

    def load_from_fileobj(self, file: Any, **kwargs: Any) -> Any:
        """The plain values in an open file."""
        return yaml.load(file, getattr(yaml, 'CSafeLoader', yaml.SafeLoader))


def load_config(path: str | Path, options: dict[str, Any] | None = None, mistakes: list[ConfigError] | None = None,
                trust: bool = False) -> Config:
    """Read a config file with everything that it inherits, translate what older files say, and check the result.

    A .py file is a program, which runs. The others are data: they inherit from no .py file but those in the configs
    folder of this program, and import nothing.

    Args:
        path: a .py, .json, .yml or .yaml file, or the name of a config of this program, such as 'daformer/NAME.py'; see
            :func:`~mmseg.config.places.find_config`. ``_base_`` in it names one file or several in the same way.
        options: values that replace those of the file, by dotted key as ``mmengine.config.DictAction`` makes them from
            ``--options``; a whole number in the key is a position in a list (``data.train.pipeline.2.img_scale``).
        mistakes: a list that gets what is wrong with single entries, which are left out then, and what is missing;
            without it the first one is raised.
        trust: let .json and .yaml files inherit from any .py file and name ``custom_imports``.

    Raises:
        ConfigError: for whatever cannot be used, naming the file, the dotted key and the nearest known name. A missing
            file is also a FileNotFoundError, a dict that meets no dict in its base also a TypeError.
    """
    path, options = find_config(path), options or {}
    try:
        with _parsing, bases_found():
            files = _inheritance(path, trust)
            cfg = Config.fromfile(str(path), lazy_import=False)
    except ConfigError:
        raise
    except Exception as error:  # whatever the code in a config file may raise
        raise _reading_error(path, error) from error
    content = cfg.to_dict()
    try:
        for key, value in options.items():
            _set_option(content, key, value)
        warn_of_methods_in_code(content, files)
        content = apply_legacy_fixes(content)
    except ConfigError as error:
        raise _placed(error, path, files, options) from error
    excused: set[str] = set()
    while True:
        try:
            check_content(content, excused)
            return Config(content, cfg_text=cfg.text, filename=str(path))
        except ConfigError as error:
            placed = _placed(error, path, files, options)
            if mistakes is None or not (_drop(content, error.key) or isinstance(error, ConfigKeyMissing)):
                raise placed from error
            excused |= {error.key, error.key.removesuffix('.type')}
            mistakes.append(placed)


def validate_config(cfg: Config) -> None:
    """Check a config that was made or changed by a program.

    Raises:
        ConfigError: as :func:`load_config`.
    """
    try:
        check_content(cfg.to_dict())
    except ConfigError as error:
        raise ConfigError(f'{cfg.filename or "config"}: {error}', error.word, error.key) from error


def require_sections(cfg: Config, names: Iterable[str] = TRAINING) -> None:
    """Refuse a config that lacks a section, as one that others inherit from may.

    Raises:
        ConfigKeyMissing: naming the section.
    """
    for name in names:
        if not cfg.get(name):
            raise ConfigKeyMissing(f'{cfg.filename or "config"}: there is no section {name}: inherit from the files in '
                                   'configs/_base_', name, name)


def dump_config(cfg: Config, path: str | Path) -> None:
    """Write a merged config in the format that the suffix of ``path`` says."""
    content = cfg.to_dict()
    if Path(path).suffix == '.py':
        Path(path).write_text(format_config(content), encoding='utf-8')
    elif Path(path).suffix == '.json':
        Path(path).write_text(json.dumps(content, indent=2), encoding='utf-8')
    else:
        mmengine.dump(json.loads(json.dumps(content)), str(path), sort_keys=False)


def _inheritance(path: Path, trust: bool, children: Sequence[Path] = ()) -> list[Path]:
    """``path`` and all files that it inherits from, after checks that MMEngine does not make or not clearly."""
    if path.suffix not in SUFFIXES:
        raise ConfigError(f'{path}: a config ends in {", ".join(SUFFIXES)}')
    chain = [*children, path]
    if path.resolve() in [parent.resolve() for parent in children]:
        raise ConfigError(f'{children[-1]}: inherits from itself through _base_: {" -> ".join(map(str, chain))}')
    files = [path]
    for base in _bases(path, trust):
        if '::' in base:
            raise ConfigError(f'{path}: _base_ {base!r} names a file inside of an installed package, which is not '
                              'supported (it needs pkg_resources): copy that file and name its path')
        found = find_config(base, path)
        if found.suffix == '.py' and path.suffix != '.py' and not trust and not is_own(found):
            raise ConfigError(f'{path}: _base_ {base} is a Python file{UNTRUSTED}', base, '_base_')
        files += _inheritance(found, trust, chain)
    return files


def _filled_in(path: Path) -> str:
    """The text of a config file with what MMEngine will write in the place of file and environment variables."""
    text = path.read_text(encoding='utf-8')
    for name, value in (('fileDirname', path.absolute().parent.as_posix()), ('fileBasename', path.name),
                        ('fileBasenameNoExtension', path.stem), ('fileExtname', path.suffix)):
        text = value.join(re.split(r'\{\{\s*' + name + r'\s*\}\}', text))
    variable = r'\{\{[\'"]?\s*\$(\w+)\s*:\s*(\S*?)\s*[\'"]?\}\}'
    return re.sub(variable, lambda match: os.environ.get(match[1], match[2]), text)


def _bases(path: Path, trust: bool) -> list[str]:
    """What ``_base_`` says in one file, after a look at what else a file that is data may not say."""
    try:
        text = _filled_in(path)
        if path.suffix == '.py':
            values = [node.value for node in ast.parse(text).body if isinstance(node, ast.Assign)
                      and isinstance(node.targets[0], ast.Name) and node.targets[0].id == '_base_']
            bases = eval(compile(ast.Expression(values[0]), str(path), 'eval'), {}) if values else []
        else:
            text = re.sub(r'\{\{[^{}]*\}\}', '0', text)  # variables of the bases, which are not known yet
            content = mmengine.load(io.StringIO(text), file_format=path.suffix[1:])
            if not isinstance(content, dict):
                raise TypeError(f'the file holds a {type(content).__name__}, not the sections of a config')
            for _ in leaves(content):  # ends, or raises
                pass
            if content.get('custom_imports') and not trust:
                raise ConfigError(f'{path}: custom_imports names modules{UNTRUSTED}', *['custom_imports'] * 2)
            bases = content.get('_base_', [])
        bases = [bases] if isinstance(bases, str) else bases
        if not isinstance(bases, (list, tuple)) or not all(isinstance(base, str) for base in bases):
            raise ConfigError(f'{path}: _base_ has to be a path or a list of paths, not {bases!r}', *['_base_'] * 2)
    except ConfigError:
        raise
    except Exception as error:
        raise _reading_error(path, error) from error
    return list(bases)


def _reading_error(path: Path, error: Exception) -> ConfigError:
    text = str(error)
    if 'Duplicate key is not allowed among bases' in text:
        names = ', '.join(sorted(re.findall(r"'(\w+)'", text)))
        return ConfigError(f'{path}: two files of one _base_ list both set {names}; keep it in one of them, or let one '
                           'inherit from the other')
    if isinstance(error, TypeError) and 'cannot inherit from base' in text:
        name = text.partition('=')[0]
        return ConfigMergeError(f'{path}: {name} is a dict here and none in the base: add _delete_=True to it, to '
                                'replace what the base says', name, name)
    if isinstance(error, SyntaxError):
        return ConfigError(f'{path}: line {error.lineno}: {error.msg}')
    return ConfigError(f'{path}: cannot be read as a config: {type(error).__name__}: {" ".join(text.split())}')


def _origin(error: ConfigError, files: Iterable[Path], options: dict[str, Any]) -> str:
    """Where the wrong word stands: ``--options``, the file itself or the first base that has it."""
    if any(f'{error.key}.'.startswith(f'{key}.') or f'{key}.'.startswith(f'{error.key}.') for key in options):
        return '--options'
    files = list(files)
    pattern = re.compile(rf'(?<!\w){re.escape(error.word)}(?!\w)')
    return str(next((file for file in files if pattern.search(file.read_text(encoding='utf-8'))), files[0]))


def _placed(error: ConfigError, path: Path, files: Iterable[Path], options: dict[str, Any]) -> ConfigError:
    """The same error with the place of the wrong word."""
    place = _origin(error, files, options)
    read_for = '' if place == str(path) else f' (read for {path})'
    return ConfigError(f'{place}: {error}{read_for}', error.word, error.key)


def _drop(content: dict[str, Any], key: str) -> bool:
    """Take out the entry of a dotted key, with a wrong type the dict that has it; False if there is none."""
    *parents, last = key.removesuffix('.type').split('.')
    node: Any = content
    for part in parents:
        node = node[int(part)] if isinstance(node, list) and part.isdigit() else node.get(part, {})
    if isinstance(node, list) and last.isdigit():
        node.pop(int(last))
        return True
    return isinstance(node, dict) and node.pop(last, None) is not None


def _set_option(content: dict[str, Any], key: str, value: Any) -> None:
    """Set one dotted key, going into lists by position."""
    parts = key.split('.')
    _check_section(parts[0], key)
    node: Any = content
    for depth, part in enumerate(parts[:-1]):
        place = _place(node, part, parts[:depth])
        entry = node.get(place) if isinstance(node, dict) else node[place]
        if entry is None:
            if parts[0] == 'model' and depth > 1 and place not in node:
                raise unknown(part, node, '.'.join(parts[:depth + 1]))
            entry = {}
        elif isinstance(entry, tuple):
            entry = list(entry)
        elif not isinstance(entry, (dict, list)):
            raise ConfigError(f'{".".join(parts[:depth + 1])}: is {entry!r}, nothing to go into', part, key)
        node[place] = node = entry
    place = _place(node, parts[-1], parts[:-1])
    if isinstance(value, dict) and isinstance(node, dict) and isinstance(node.get(place), dict):
        value = Config._merge_a_into_b({place: value}, node)[place]
    node[place] = value


def _check_section(name: str, key: str) -> None:
    """Refuse an option of a section that nothing reads."""
    if is_variable(name):
        raise ConfigError(f'{key}: {name} is a variable of config files, and the sections are made with its old value '
                          'already: name the key of the section, such as data.train.source.pipeline.3.crop_size', name,
                          key)
    if name not in TOP_LEVEL | OLD:
        raise ConfigError(f'{key}: no section of this name exists, so nothing would read it, '
                          f'{nearest(name, TOP_LEVEL)}', name, key)


def _place(node: Any, part: str, parents: Sequence[str]) -> Any:
    if isinstance(node, dict):
        return part
    key = '.'.join(parents)
    if not part.isdigit() or int(part) >= len(node):
        raise ConfigError(f'{key}: is a list of {len(node)} entries, name a position from 0 to {len(node) - 1} instead '
                          f'of {part!r}', part, f'{key}.{part}')
    return int(part)
