"""Configs of DIDA and EBDA: their losses stood in their programs' code, so without a section they train DAFormer."""
from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mmseg.utils.commands import PROGRAM
from mmseg.utils.config_text import format_config, value_at

Content = dict[str, Any]
IN_SYNTHIA = [18, 12, 17, 7, 6, 11, 15, 4, 5, 3, 13, 8, 1, 10, 2, 0]  # its train ids, rarest first


class MethodInCodeWarning(UserWarning):
    """A config of a method that trains plain DAFormer here."""


class MethodInCode(NamedTuple):
    """A published method that its own configs do not mention.

    Attributes:
        title: its name.
        key: what switches it on in the ``uda`` section.
        signs: gives what in the merged content of a config and the names of its files tells the method, in words.
        section: gives what belongs under the key, from the merged content.
    """
    title: str
    key: str
    signs: Callable[[Content, list[str]], Iterator[str]]
    section: Callable[[Content], dict[str, Any]]


def _names(pattern: str, names: Iterable[str]) -> Iterator[str]:
    yield from (f'the name {name}' for name in names if re.search(pattern, name, re.IGNORECASE))


def _signs_of_dida(content: Content, names: list[str]) -> Iterator[str]:
    yield from _names(r'(?<![a-z])dida(?![a-z])', names)
    # DAFormer's own experiments 7 and 8 have other sources
    if (content.get('exp'), value_at(content, 'data.train.source.type')) in ((7, 'GTADataset'), (8, 'SynthiaDataset')):
        yield f'exp={content["exp"]} with a {content["data"]["train"]["source"]["type"]}'
    interval, kept = (value_at(content, f'checkpoint_config.{key}') for key in ('interval', 'max_keep_ckpts'))
    if (interval, kept) in ((1600, 50), (2000, 20)):
        yield f'checkpoint_config with interval={interval} and max_keep_ckpts={kept}'


def _signs_of_ebda(content: Content, names: list[str]) -> Iterator[str]:
    if 'LogitConstraintLoss' in str(content.get('model')):
        yield 'LogitConstraintLoss'
    yield from _names(r'(?<![a-z])eb_?da(?![a-z])|daformer_sepaspp_lc|cs2acdc_uda_warm_fdthings_rcs_croppl_a999', names)
    habits = {'data.samples_per_gpu': 1, 'evaluation.save_best': 'mIoU', 'log_config.interval': 100}
    if all(value_at(content, key) == value for key, value in habits.items()):
        yield ', '.join(f'{key}={value!r}' for key, value in habits.items())


def _bank(content: Content) -> dict[str, Any]:
    section: dict[str, Any] = dict(preset='dida_code')
    if value_at(content, 'data.train.source.type') == 'SynthiaDataset':
        section['classes'] = IN_SYNTHIA  # a bank with rows for the other classes would never be full
    return section


IN_CODE = dict(
    dida=MethodInCode('DIDA', 'instance_bank', _signs_of_dida, _bank),
    ebda=MethodInCode('EBDA', 'entropy_balance', _signs_of_ebda, lambda _: dict(weight=0.1, target=0.4)))


def warn_of_methods_in_code(content: Content, files: Iterable[Path]) -> None:
    """Warn if a config is one of DIDA or EBDA and lacks the section that trains the method here.

    Args:
        content: the merged content, before older spellings are translated.
        files: the config and what it inherits from.
    """
    uda = content.get('uda')
    if not isinstance(uda, dict) or uda.get('type') != 'DACS':
        return
    about = [content.get(key) for key in ('name', 'work_dir', 'name_architecture', 'name_decoder', 'name_uda')]
    names = [text for text in about if isinstance(text, str)]
    names += [file.name for file in files]
    for option, method in IN_CODE.items():
        sign = next(method.signs(content, names), None)
        if sign and method.key not in uda:
            warnings.warn(_advice(option, method, sign, content), MethodInCodeWarning, stacklevel=2)


def _advice(option: str, method: MethodInCode, sign: str, content: Content) -> str:
    section = format_config({method.key: method.section(content)}).strip().replace(' = ', '=', 1)
    return (f'This is a config of {method.title} ({sign}), whose loss stood in the code of its program: here it trains '
            f'plain DAFormer. To train {method.title}, add\n    uda = dict(\n        {section})\nor start it by '
            f'{PROGRAM} experiments --config CONFIG --method {option}. {method.key}=None there says that DAFormer is '
            'meant. Testing a checkpoint needs neither.')
