"""Writes the tables of docs/reference/config.md from what sections and classes declare.

The page has text of its own, and blocks between two marks; this program replaces what stands in the blocks::

    python -m dev.config_reference
"""
from __future__ import annotations

import inspect
import re
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any, NamedTuple

from mmseg.config import load_config
from mmseg.config.meanings import MEANINGS
from mmseg.config.sections import LOG_HOOKS, OPTIMIZER, SECTIONS, VALUES
from mmseg.datasets.kinds import DATASET, STEPS, STYLE
from mmseg.engine.custom_hooks import HOOK
from mmseg.errors import command
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.kinds import PART, SAMPLER, TEST
from mmseg.models.layers.factory import LAYER
from mmseg.models.layers.named import ACTIVATION, CONVOLUTION, NORM
from mmseg.models.uda.base import KEYS, UDADecorator
from mmseg.registry import OBJECTIVES, UDA
from mmseg.utils.kinds import ANY, FIXED, NAME, Each, Either, Kind, Needed, Section, Typed
from mmseg.utils.markdown import table
from mmseg.utils.options import OptionsOf, kind_of, optional, options, parameters, registered, takes_more

ROOT = Path(__file__).parents[1]
PAGE = ROOT / 'docs' / 'reference' / 'config.md'
BLOCK = re.compile(r'(<!-- generated: ([^\n]+) -->\n).*?(<!-- end -->)', re.DOTALL)
WIDTH = 100  # of lines of text
Read = Callable[[Any], Mapping[str, Kind]]
HEADINGS = 'Args|Keys|Attributes|Raises|Returns'
# Registered networks by the folder that holds them; some have blocks of their own.
FAMILIES = {name: f'mmseg.models.{name}.' for name in ('backbones', 'necks', 'decode_heads', 'losses')}
ALONE = ('HRDAHead', 'EncoderDecoder', 'HRDAEncoderDecoder')
# By class, one more column: its title, and the config and section whose values it shows.
_DAFORMER = 'DAFormer', 'daformer/gta2cs_uda_warm_fdthings_rcs_croppl_a999_daformer_mitb5_s0.py', 'uda'
_HRDA = 'HRDA', 'hrda/gtaHR2csHR_hrda.py'
PUBLISHED = {
    'UDADecorator': _DAFORMER,
    'FeatureDistance': _DAFORMER,
    'MaskedConsistency': ('MIC on HRDA', 'mic/gtaHR2csHR_mic_hrda.py', 'uda'),
    'HRDAEncoderDecoder': (*_HRDA, 'model'),
    'HRDAHead': (*_HRDA, 'model.decode_head')}


class Row(NamedTuple):
    """What a table says about a key, in Markdown."""
    key: str
    values: str
    default: str
    meaning: str


# -- docstrings -------------------------------------------------------------------------------------------------------


def entries(thing: Any, heading: str = 'Args') -> dict[str, str]:
    """The entries below a heading of a docstring, in Markdown; what a class does not explain, its parents do."""
    found: dict[str, str] = {}
    for owner in reversed(getattr(thing, '__mro__', (thing, ))):
        section = re.search(rf'^{heading}:\n(.*?)(?=^\S|\Z)', _doc(owner), re.MULTILINE | re.DOTALL)
        for names, text in re.findall(r'^    ([\w*, ]+): (.*?)(?=^    \S|\Z)', section[1] if section else '',
                                      re.MULTILINE | re.DOTALL):
            found.update(dict.fromkeys(names.replace('*', '').split(', '), markdown(text).removesuffix('.')))
    return found


def description(thing: Any) -> str:
    """What a docstring says before its first heading, in Markdown."""
    text = re.split(rf'^(?:{HEADINGS}):$', _doc(thing), maxsplit=1, flags=re.MULTILINE)[0]
    return '\n\n'.join(markdown(paragraph) for paragraph in text.strip().split('\n\n'))


def markdown(text: str) -> str:
    """A paragraph of a docstring as one line of Markdown; quoted names and Python's constants become code."""
    text = re.sub(r':\w+:`~?(?:[\w.]*\.)?(\w+)`', r'`\1`', ' '.join(text.split())).replace('``', '`')
    return re.sub(r"`[^`]*`|(?<!\w)'[\w.]+'|\b(?:None|True|False)\b",
                  lambda found: found[0] if found[0].startswith('`') else f'`{found[0]}`', text)


def wrapped(text: str) -> str:
    """Paragraphs, or an item of a list, in lines of a length that can be read."""
    indent = '  ' if text.startswith('* ') else ''
    return '\n\n'.join(fill(paragraph, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
                       for paragraph in text.split('\n\n'))


def _doc(thing: Any) -> str:
    return inspect.cleandoc(vars(thing).get('__doc__') or '' if isinstance(thing, type) else thing.__doc__ or '')


# -- rows and tables --------------------------------------------------------------------------------------------------


def values(kind: Kind) -> str:
    """What a key may be."""
    kind = kind.kind if isinstance(kind, Needed) else kind
    if kind is ANY:
        return ''
    if isinstance(kind, Either):
        parts = list(dict.fromkeys(filter(None, map(values, kind.kinds))))
        return (', or ' if any(', ' in part for part in parts) else ' or ').join(parts)
    if isinstance(kind, Section):
        return f'a dict with {listed(kind.kinds)}' if kind.kinds else 'an empty dict'
    if isinstance(kind, Each):
        return 'a list of dicts'
    if isinstance(kind, Typed):
        return f'a dict with `{kind.key}`'
    text = kind.text.removeprefix('one of ').replace('a list of values, each', 'a list, each')
    return markdown(text.replace(' of at least ', ' ≥ ').replace(' above ', ' > '))


def listed(names: Iterable[str]) -> str:
    """Names one after the other, as code."""
    return ', '.join(f'`{name}`' for name in names)


def shown(value: Any) -> str:
    """A value as a config has it."""
    if value is inspect.Parameter.empty:
        return 'required'
    text = f'dict({", ".join(f"{key}={entry!r}" for key, entry in value.items())})' if isinstance(value, dict) else \
        repr(value)
    return f'`{text}`'


def key_table(owner: str, rows: Sequence[Row]) -> str:
    """The table of a class's or section's keys.

    Raises:
        ValueError: for a key that nobody explains.
    """
    for row in rows:
        if not row.meaning:
            raise ValueError(f'{owner}: {row.key} has no meaning, write an entry in the docstring of the class')
    if owner not in PUBLISHED:
        return table(('key', 'values', 'default', 'meaning'), [(f'`{row.key}`', *row[1:]) for row in rows])
    title, config, section = PUBLISHED[owner]
    there: Any = load_config(ROOT / 'configs' / config).to_dict()
    for part in section.split('.'):
        there = there[part]
    given = {key: shown(value) for key, value in there.items()}
    return table(('key', 'values', 'default', title, 'meaning'), [
        (f'`{row.key}`', row.values, row.default, given.get(row.key, '').replace(row.default, ''), row.meaning)
        for row in rows])


def section_table(name: str, kinds: Mapping[str, Kind]) -> str:
    """The keys of a section."""
    meanings = MEANINGS[name]
    if meanings.keys() != kinds.keys():
        different = meanings.keys() ^ kinds.keys()
        raise ValueError(f'mmseg/config/meanings.py: {name!r} differs from the section in {different}')
    return key_table(name, [
        Row(key, values(kinds[key]), 'required' if isinstance(kinds[key], Needed) else text.default or '', text.text)
        for key, text in meanings.items()])


def argument_rows(cls: type, kinds: Mapping[str, Kind], prefix: str = '') -> list[Row]:
    """Arguments of a class."""
    defaults = {parameter.name: parameter.default for parameter, _ in reversed(list(parameters(cls)))}
    texts = entries(cls)
    return [Row(f'{prefix}{name}', values(kind), shown(defaults[name]) if name in defaults else '',
                texts.get(name) or (texts.get('kwargs', '') if takes_more(cls) else ''))
            for name, kind in kinds.items()]


def inherited_from(cls: type) -> type | None:
    """The class of this program that takes the further arguments of another."""
    owners = [owner for owner in cls.__mro__ if '__init__' in vars(owner) and owner.__module__.startswith('mmseg.')]
    if cls not in owners:
        return owners[0] if owners else None
    more = any(parameter.kind is parameter.VAR_KEYWORD for parameter in inspect.signature(cls).parameters.values())
    return owners[1] if more and len(owners) > 1 else None


def class_text(cls: type, read: Read = options) -> tuple[str, str]:
    """What a class is and whose keys it has besides, and the table of its own ones ('' if there are none)."""
    parent, kinds = inherited_from(cls), read(cls)
    known = {name: values(kind) for name, kind in read(parent).items()} if parent else {}
    own = {name: kind for name, kind in kinds.items() if kind is not FIXED and known.get(name) != values(kind)}
    text = description(cls)
    further = getattr(cls, 'FURTHER', None)
    if further:
        text += f' All further keys go to the class that `{further}` names.'
    elif parent:
        fixed = [name for name, kind in kinds.items() if kind is FIXED and read(parent).get(name) is not FIXED]
        text += f' {"Further keys" if own else "Keys"}: those of `{parent.__name__}`' + (
            f', except {listed(fixed)}.' if fixed else '.')
    return wrapped(text), key_table(cls.__name__, argument_rows(cls, own)) if own else ''


def family(classes: Iterable[type], read: Read = options) -> str:
    """Classes with their tables, each below a heading, then those without keys of their own."""
    texts = {cls.__name__: class_text(cls, read) for cls in classes}
    parts = [f'#### `{name}`\n\n{text}\n\n{keys}' for name, (text, keys) in texts.items() if keys]
    short = [wrapped(f'* `{name}`: {" ".join(text.split())}') for name, (text, keys) in texts.items() if not keys]
    if short and parts:
        parts.append('#### Those without keys of their own')
    return '\n\n'.join([*parts, '\n'.join(short)] if short else parts)


def uda_table(owner: type, defaults: Mapping[str, Any]) -> str:
    """The ``uda`` keys of a host or objective; a dict of an objective's arguments is followed by its entries."""
    own = {**UDADecorator.key_kinds, **getattr(owner, 'key_kinds', {})}
    kinds = {name: own.get(name) or kind_of(Any, default) for name, default in defaults.items()}
    texts, rows = entries(owner, 'Keys'), []
    for name, default in defaults.items():
        inner = _inner(kinds[name])
        text = 'a dict with the entries below; an empty one takes all defaults' if inner else texts.get(name, '')
        rows.append(Row(name, 'a dict or `None`' if inner else values(kinds[name]), shown(default), text))
        if isinstance(inner, Typed):
            presets = inner.table()
            rows.append(Row(f'{name}.{inner.key}', listed(map(repr, presets)), f'`{inner.default!r}`', '; '.join(
                f'`{preset!r}` knows ' + ('all entries below' if preset == inner.default else listed(inner.read(cls)))
                for preset, cls in presets.items())))
        if inner:
            rows += argument_rows(owner, optional(owner), f'{name}.')
    return key_table(owner.__name__, rows)


def _inner(kind: Kind) -> Kind | None:
    """The kind of an objective's dict, if it is one."""
    kinds = kind.kinds if isinstance(kind, Either) else [kind]
    return next((each for each in kinds if isinstance(each, (OptionsOf, Typed))), None)


# -- the page ---------------------------------------------------------------------------------------------------------


def log_hooks() -> str:
    """The hooks of ``log_config.hooks``; keys of all of them come first."""
    shared = set.intersection(*(set(keys) for keys in LOG_HOOKS.values()))
    rows = [(key, 'all', kind) for key, kind in LOG_HOOKS['TextLoggerHook'].items() if key in shared]
    rows += [(key, f'`{hook}`', kind) for hook, keys in LOG_HOOKS.items() for key, kind in keys.items()
             if key not in shared]
    texts = MEANINGS['log_config.hooks']
    return table(('hook', 'key', 'values', 'default', 'meaning'), [
        (hook, f'`{key}`', values(kind), texts[key].default or '', texts[key].text) for key, hook, kind in rows])


def layers() -> str:
    """The layers of ``decoder_params``, and the names of norms, activations and convolutions."""
    rows = [(f'`{name}`', listed(sorted(LAYER.read(takers)))) for name, takers in LAYER.table().items()]
    named = [(title, listed(kind.table())) for title, kind in (
        ('`norm_cfg`', NORM), ('`act_cfg`', ACTIVATION), ('`conv_cfg`', CONVOLUTION))]
    return table(('layer', 'keys'), rows) + '\n\n' + table(('section', 'types'), named)


def ours(classes: Mapping[str, Any]) -> dict[str, type]:
    """Those that this program registers, not the code of somebody who uses it."""
    return {name: cls for name, cls in classes.items() if cls.__module__.startswith('mmseg.')}


def blocks() -> dict[str, Callable[[], str]]:
    """All blocks of the page by name, each with what makes its content."""
    networks = ours(PART.table())
    made: dict[str, Callable[[], str]] = {
        name: lambda cls=cls: '\n\n'.join(class_text(cls))
        for name, cls in {**{name: networks[name] for name in ALONE}, 'all heads': BaseDecodeHead}.items()}
    for name, module in FAMILIES.items():
        classes = [cls for key, cls in networks.items() if cls.__module__.startswith(module) and key not in ALONE]
        made[name] = lambda classes=classes: family(classes)
    made['layers'] = layers
    for name, kind in (('samplers', SAMPLER), ('transforms', STEPS.kind), ('source styles', STYLE),
                       ('data sets', DATASET.kinds[0])):
        made[name] = lambda kind=kind: family(ours(kind.table()).values(), kind.read)
    made['all methods'] = lambda: uda_table(UDADecorator, KEYS)
    hosts = {name: cls for name, cls in ours(registered(UDA)).items() if hasattr(cls, 'config_keys')}
    for name, cls in {**hosts, **ours(OBJECTIVES.module_dict)}.items():
        made[name] = lambda cls=cls: uda_table(cls, cls.keys)
    optimizer = dict(OPTIMIZER.more, type=NAME)
    sections = {**SECTIONS, 'model.test_cfg': TEST.kinds,
                'optimizer': {key: optimizer[key] for key in MEANINGS['optimizer']},
                'custom_hooks': dict(type=NAME, **HOOK.more),
                'the rest': {key: VALUES.get(key, ANY) for key in MEANINGS['the rest']}}
    for name, kinds in sections.items():
        made[name] = lambda name=name, kinds=kinds: section_table(name, kinds)
    made['log_config.hooks'] = log_hooks
    return made


def written(page: str) -> str:
    """The page with new content in all blocks.

    Raises:
        ValueError: for a block that does not exist, or one that the page lacks.
    """
    made, found = blocks(), [name for _, name, _ in BLOCK.findall(page)]
    if sorted(found) != sorted(made):
        raise ValueError(f'{PAGE.name} has to hold each block once, look at {sorted(set(made) ^ set(found)) or found}')
    return BLOCK.sub(lambda block: f'{block[1]}{made[block[2]]()}\n{block[3]}', page)


def main(args: Sequence[str] | None = None) -> None:
    """Write the page."""
    ArgumentParser(description='Write the tables of docs/reference/config.md').parse_args(args)
    PAGE.write_text(written(PAGE.read_text(encoding='utf-8')), encoding='utf-8')


if __name__ == '__main__':
    command(main)
