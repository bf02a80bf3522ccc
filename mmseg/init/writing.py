"""The config as text, with the files that it names."""
from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmseg.init.networks import Choice
from mmseg.init.pairing import Folder
from mmseg.init.plan import Images, Plan, choice_settings
from mmseg.utils.atomic import write_atomically

Setting = tuple[str, Any, str]


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    write_atomically(path, lambda temporary: Path(temporary).write_text(text, encoding='utf-8'))


def write_config(path: Path, plan: Plan, choice: Choice, device: str | None) -> None:
    """Write the config, and beside it a file of names where a part of a folder is used."""
    classes, scales = plan.classes, plan.scales
    bases = [f'configs/_base_/{name}' for name in choice.bases]  # found in this program from wherever the config lies
    folder = {'classes': classes.names, 'palette': classes.palette, 'label_map': classes.label_map}
    texts = [f"type='FolderDataset', classes={classes.names}"]
    texts += [f'{key}={value}' for key, value in folder.items() if value is not None and key != 'classes']
    varied = ', cat_max_ratio=0.75' if plan.is_varied else ''
    loads, loading = [], {}
    for name, images in (('source', plan.source), ('target', plan.target)):
        loading[name] = 'load[0]'
        if images.bits is not None:
            loading[name] = f'load_{name}'
            loads.append(f"load_{name} = dict(type='LoadImageFromFile', bits={images.bits})")
    crops = [
        f"{name}_steps = [dict(type='Resize', img_scale={scale}), dict(type='RandomCrop', crop_size="
        f'({scales.crop}, {scales.crop}){more}), flip, *finish]'
        for name, scale, more in (('source', scales.source, varied), ('target', scales.target, ''))]
    lines = [
        f'# Written by init; {path.with_suffix(".txt").name} says why. Paths start at {os.getcwd()}',
        f'_base_ = {bases}',
        'load, flip, finish, shown = _base_.load, _base_.flip, _base_.finish, _base_.shown',
        *loads, *crops,
        f'folder = dict({", ".join(texts)})',
        f'source = dict(folder, {_place(path, "source", plan.source)}, '
        f'pipeline=[{loading["source"]}, load[1], *source_steps])',
        f'target = dict(folder, {_place(path, "target", plan.target, masks=False)}, '
        f'pipeline=[{loading["target"]}, load[1], *target_steps])',
        *_validation(path, plan, loading['target']),
        f'train = dict(type=\'UDADataset\', source=source, target=target, rare_class_sampling={_dict(plan.sampling)})',
        f'data = dict(samples_per_gpu={choice.samples}, workers_per_gpu={plan.training.workers}, train=train'
        f'{", val=val, test=val" if plan.val else ""})',
        *(f'{key} = {_dict(value)}' for key, value in choice_settings(plan, choice).items())]
    if device is not None:
        lines.append(f'device = {device!r}')
    write_text(path, '\n'.join(lines) + '\n')


def _validation(path: Path, plan: Plan, load: str) -> list[str]:
    if plan.val is None:
        return []
    folder, names = plan.val
    place = _place(path, 'val', Images(folder, names, ()))
    return [f"val = dict(folder, {place}, pipeline=[{load}, dict(type='MultiScaleFlipAug', "
            f'img_scale={plan.scales.target}, flip=False, transforms=shown)])']


def _place(path: Path, name: str, images: Images, masks: bool = True) -> str:
    """The entries of a data set about folders and files; names that are chosen go to a file beside the config."""
    folder: Folder = images.folder
    found: dict[str, Any] = dict(img_dir=folder.img_dir)
    if masks:
        found['ann_dir'] = folder.ann_dir
        for key in ('img_suffix', 'seg_map_suffix'):
            if getattr(folder, key):
                found[key] = getattr(folder, key)
    if images.names is not None:
        split = path.with_name(f'{path.stem}_{name}.txt')
        write_text(split, '\n'.join(images.names) + '\n')
        found['split'] = split.as_posix()
    return ', '.join(f'{key}={value!r}' for key, value in found.items())


def _dict(value: Any) -> str:
    if isinstance(value, dict):
        return f'dict({", ".join(f"{key}={_dict(entry)}" for key, entry in value.items())})'
    return repr(value)


def reasons_text(reasons: Sequence[Setting]) -> str:
    """What was chosen and why, one line each."""
    return '\n'.join(f'{name}: {value}\n    {why}' if not name.startswith(' ') else f'{name}: {value}, {why}'
                     for name, value, why in reasons)
