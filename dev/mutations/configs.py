"""Configs: changes of one entry, and damage to the text; what may pass, and why."""
from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from numpy.random import RandomState

from dev.mutations.subject import Outcome, Subject, damaged, judged
from mmseg.config.reading import load_config, require_sections
from mmseg.config.sections import SECTIONS
from mmseg.errors import EXPECTED, ConfigError
from mmseg.models import build_train_model

CONFIG = Path(__file__).parents[2] / 'configs/toy/daformer.py'
READ = {*SECTIONS, 'model', 'uda', 'optimizer', 'seed'}  # other names are variables of the file
CHANGES = ('x', None, -1, math.nan, [[1], 'x'])

OWN_TEXT = "a file, folder or text of the user's own: whether it exists shows when it is opened, by name"
ABSENT = 'None says that there is none, or leaves it to the default'
LATER = 'the thing itself names what is wrong when it is built, before the training'
# Changes that pass, by the last name in the key and the new value; None also passes where it is an argument's default.
HARMLESS = {
    **{(key, 'x'): OWN_TEXT for key in (
        'data_root', 'img_dir', 'ann_dir', 'split', 'img_suffix', 'seg_map_suffix', 'classes', 'cache', 'pretrained',
        'checkpoint_path', 'bank', 'class_weight', 'json_trace_path')},
    **{(key, None): ABSENT for key in (
        'interval', 'img_interval', 'seed', 'warmup', 'mask_mode', 'norm_cfg', 'act_cfg', 'conv_cfg', 'context_cfg',
        'init_cfg', 'paramwise_cfg', 'checkpoint_path', 'mask_pseudo_threshold', 'grad_clip', 'pretrained', 'prob',
        'ann_dir', 'data_root', 'size', 'imnet_feature_dist_classes', 'split',
        'target', 'target_normalised', 'save_best')},
    ('imnet_feature_dist_scale_min_ratio', None): LATER,
    ('bank', None): "an empty one; the preset 'dida_code', which needs a filled one, names it when it is built",
    ('ignore_index', None): 'a head that ignores what the label files leave out, as is the default',
    **{(key, 'x'): LATER for key in ('model_name', 'adjust_lr_fn', 'line_search_fn')},
    ('style', 'x'): 'of a MiT: accepted for old configs, without effect',
    ('in_index', '-1'): 'counts from the last level',
    ('mean', '-1'): 'images may have any range',
    ('max_keep_ckpts', '-1'): 'keeps all',
    ('frozen_stages', '-1'): 'freezes nothing',
    ('beta2_decay', '-1'): "negative in torch's own default",
    ('ns_coefficients', '-1'): "negative in torch's own default",
}
FREE = ('optimizer.paramwise_cfg.custom_keys', 'model.decode_head.init_cfg.override')  # dicts with any keys


def entries(node: Any, path: tuple = ()) -> Iterator[tuple]:
    """Paths of all that a config holds."""
    for name, entry in list(node.items() if isinstance(node, dict) else enumerate(node)):
        yield *path, name
        if isinstance(entry, (dict, list)):
            yield from entries(entry, (*path, name))


def at(node: Any, path: Iterable) -> Any:
    """The value at a path."""
    for name in path:
        node = node[name]
    return node


def plain(node: Any) -> Any:
    """A copy with lists in the place of tuples."""
    if isinstance(node, dict):
        return {name: plain(entry) for name, entry in node.items()}
    return [plain(entry) for entry in node] if isinstance(node, (list, tuple)) else node


def is_harmless(key: str, name: str, change: Any) -> bool:
    """Whether a change of the dotted ``key``, whose last name is ``name``, may pass."""
    if change == 'misspelt':
        return key.rpartition('.')[0] in FREE
    entry = name, str(change) if change == -1 else change
    return key.startswith(FREE[1]) or (not isinstance(change, list) and entry in HARMLESS)


def change_entry(content: dict[str, Any], rng: RandomState, changes: Sequence[Any]) -> tuple[tuple, Any]:
    """Give an entry below the top level one of some values or a misspelt name, in place.

    Returns:
        Its path afterwards, and 'misspelt' or the new value.
    """
    paths = [each for each in entries(content) if len(each) > 1]
    place = paths[int(rng.randint(len(paths)))]
    parent, last = at(content, place[:-1]), place[-1]
    if isinstance(parent, dict) and not rng.randint(3):
        parent[f'{last}_'] = parent.pop(last)
        return (*place[:-1], f'{last}_'), 'misspelt'
    parent[last] = change = changes[int(rng.randint(len(changes)))]
    return place, change


def named_part(place: tuple) -> str:
    """The last name in a path, which a message about it has to hold; a list says what its entries may be."""
    return next(part for part in reversed(place) if isinstance(part, str))


class Configs(Subject):
    """A config with domain adaptation as .json and .yaml; what is accepted has to build."""
    name = 'configs'

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        content = plain({key: value for key, value in load_config(CONFIG).to_dict().items() if key in READ})
        self.content: dict[str, Any] = {**content, 'model': {**content['model'], 'pretrained': None}}
        self.texts = {'.json': json.dumps(self.content), '.yaml': yaml.safe_dump(self.content)}

    def case(self, rng: RandomState) -> Outcome:
        """Change an entry or damage the text, read it, and build what is accepted."""
        suffix = str(rng.choice(list(self.texts)))
        path = self.folder / f'a{suffix}'
        if rng.randint(4):
            return self._changed(path, rng)
        change, content = damaged(self.texts[suffix].encode(), rng)
        path.write_bytes(content)
        return judged(f'{suffix}: {change}', lambda: self._built(path), lambda cfg: _is_finite(cfg), (str(path), ))

    def _changed(self, path: Path, rng: RandomState) -> Outcome:
        """An entry that gets another value or a misspelt name."""
        content = json.loads(self.texts['.json'])
        place, change = change_entry(content, rng, CHANGES)
        path.write_text(json.dumps(content) if path.suffix == '.json' else yaml.safe_dump(content))
        key = '.'.join(map(str, place))
        name = named_part(place)
        return judged(f'{key}: {change!r}', lambda: self._built(path), lambda cfg: is_harmless(
            key, name, change) or cfg == self.content or _is_default(change), (f'{path}: {place[0]}', name))

    def _built(self, path: Path) -> dict[str, Any]:
        """The content of a config whose model can be built."""
        cfg = load_config(path)
        require_sections(cfg, ['model', 'runner'])
        try:
            with torch.device('meta'):
                build_train_model(cfg)
        except EXPECTED as error:  # what the class itself has to say, of numbers that do not fit together
            raise ConfigError(f'{path}: {error}') from error
        return plain(cfg.to_dict())


def _is_default(change: Any) -> bool:
    """Whether a value leaves it to the default where it is accepted."""
    return change is None


def _is_finite(node: Any) -> bool:
    return all(not isinstance(at(node, path), float) or math.isfinite(at(node, path)) for path in entries(node))
