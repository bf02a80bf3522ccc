"""Loading published classification weights into a backbone."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from mmseg.checkpoint.contents import check_finite, weights_of
from mmseg.checkpoint.file import load_parameters, read_checkpoint
from mmseg.checkpoint.mit_weights import FOLDER, fetch_mit, mit_file, mit_name, mit_page
from mmseg.errors import CheckpointError
from mmseg.utils.download import download

State = dict[str, Tensor]

OPEN_MMLAB = 'https://download.openmmlab.com/pretrain/third_party/'
OPEN_MMLAB_FILES = {
    'resnet50_v1c': 'resnet50_v1c-2cccc1ad.pth',
    'resnet101_v1c': 'resnet101_v1c-e67eebb6.pth',
    'resnext50_32x4d': 'resnext50-32x4d-0ab1a123.pth',
    'resnext101_32x4d': 'resnext101_32x4d-a5af3160.pth',
    'resnest50': 'resnest50_d2-7497a55b.pth',
    'resnest101': 'resnest101_d2-f3b931b2.pth',
    'resnest200': 'resnest200_d2-ca88e41f.pth',
}


def pretrained_source(pretrained: str | None, init_cfg: Mapping[str, Any] | None) -> str | None:
    """Where a backbone's config says that its weights come from; None: nowhere.

    Args:
        pretrained: a file or name.
        init_cfg: None, or ``dict(type='Pretrained', checkpoint=...)``.

    Raises:
        ValueError: if both are given, or ``init_cfg`` is of another kind.
        TypeError: if ``pretrained`` is neither a string nor None.
    """
    if pretrained is not None and init_cfg is not None:
        raise ValueError('pretrained and init_cfg both say where the weights come from: give one of them')
    if init_cfg is not None:
        if init_cfg.get('type') != 'Pretrained' or 'checkpoint' not in init_cfg:
            raise ValueError("init_cfg of a backbone is None or dict(type='Pretrained', checkpoint=...), "
                             f'not {init_cfg}')
        return init_cfg['checkpoint']
    if pretrained is not None and not isinstance(pretrained, str):
        raise TypeError(f'pretrained must be a path or None, not {pretrained!r}')
    return pretrained


def address(name: str) -> str:
    """The address behind ``open-mmlab://...``, ``torchvision://...`` or an address.

    Raises:
        CheckpointError: if the name is unknown.
    """
    from torchvision.models import get_model_weights, list_models  # here, since it takes over a second

    scheme, _, model = name.partition('://')
    if scheme in ('http', 'https', 'file'):
        return name
    known = {'open-mmlab': list(OPEN_MMLAB_FILES), 'torchvision': [m for m in list_models() if m.startswith('res')]}
    if scheme not in known:
        raise CheckpointError(f'{name}: weights come from a file, or from a name that begins with open-mmlab://, '
                              'torchvision:// or https://')
    if model not in known[scheme]:
        raise CheckpointError(f'{name} is not known; {scheme}:// has {", ".join(known[scheme])}')
    if scheme == 'open-mmlab':
        return OPEN_MMLAB + OPEN_MMLAB_FILES[model]
    return get_model_weights(model).IMAGENET1K_V1.url


def local_file(source: str) -> Path:
    """The file behind ``source``: itself, or for names and addresses a file in pretrained/, fetched if it is not there.

    Raises:
        CheckpointError: if the name is unknown, or the address gives no checkpoint.
        FileNotFoundError: if the address cannot be reached.
    """
    if '://' not in source:
        return Path(source)
    url = address(source)
    path = FOLDER / url.rpartition('/')[2]
    if not path.exists():
        by_hand = f'Download {url} in another way (with a browser, or on another machine) and put it at {path}'
        try:
            download(url, path, check=read_checkpoint)
        except CheckpointError as error:
            raise CheckpointError(f'{source}: what {url} gives is not usable: {error}. {by_hand}') from error
        except OSError as error:
            raise FileNotFoundError(f'{source}: cannot download {url} to {path} ({error}). {by_hand}') from error
    return path


def to_download(source: str, kind: str) -> str | None:
    """The address that a training with these weights would download first; None: the file is there, or nowhere."""
    name = mit_name(source, kind)
    if name is not None:
        return None if mit_file(name) else mit_page(name)
    if '://' not in source:
        return None
    url = address(source)
    return None if (FOLDER / url.rpartition('/')[2]).exists() else url


def read_weights(source: str, help_text: str = '') -> State:
    """The state dict in a published file: under ``state_dict``, under ``model``, or on top.

    A segmentor's, classifier's or UDA student's file that has its encoder under ``backbone.`` gives that part.

    Args:
        source: path, name or address of the file.
        help_text: added to the message when a file is missing: where it comes from and where it belongs.

    Raises:
        FileNotFoundError: if there is no such file, or it cannot be downloaded.
        CheckpointError: if it cannot be read, or its weights are no tensors or hold NaN.
    """
    path = local_file(source)
    try:
        content = read_checkpoint(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(f'no pretrained weights at {path}. {help_text}'.rstrip()) from error
    inside = next((content[k] for k in ('state_dict', 'model') if isinstance(content.get(k), Mapping)), None)
    try:
        state = weights_of(content if inside is None else {'state_dict': inside})
        check_finite(state)
    except CheckpointError as error:
        raise CheckpointError(f'{path}: {error}') from error
    state = {k.removeprefix('module.').removeprefix('model.'): v for k, v in state.items()}
    inner = {k.removeprefix('backbone.'): v for k, v in state.items() if k.startswith('backbone.')}
    return inner or state


def load_pretrained(backbone: nn.Module, source: str, help_text: str = '', ignore: tuple[str, ...] = (),
                    convert: Callable[[State], State] = dict) -> None:
    """Load a published file into ``backbone``, all of it or not at all.

    Args:
        backbone: the module that gets the weights.
        source: path, name or address; mit_b0 to mit_b5 come from the Hugging Face Hub, see :func:`mit_name`.
        help_text: see :func:`read_weights`.
        ignore: prefixes of keys that the file may have beyond the backbone's (its classifier).
        convert: gives the weights the backbone's names, if the file has those of another library.

    Raises:
        FileNotFoundError: if there is no such file.
        CheckpointError: if it cannot be read, or lacks parameters of the backbone, or has them in other shapes.
    """
    kind = type(backbone).__name__

    def load(file: str | Path) -> None:
        state = convert(read_weights(str(file), help_text))
        state = {k: v for k, v in state.items() if not k.startswith(ignore)}
        load_parameters(backbone, state, f'{file} does not hold the weights of {kind}')

    name = mit_name(source, kind)
    load(source if name is None else mit_file(name) or fetch_mit(name, check=load))


def resnet_keys(state: State) -> State:
    """Names of ResNets, from those of timm: its deep stems are ``conv1.0 ... conv1.6`` and ``bn1``."""
    if 'conv1.0.weight' not in state:
        return state
    renamed = {'conv1': 'stem', 'bn1': 'stem.7'}
    parts = {k: k.partition('.') for k in state}
    return {renamed.get(first, first) + dot + rest: state[k] for k, (first, dot, rest) in parts.items()}
