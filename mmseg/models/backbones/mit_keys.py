"""Names of MiT weights: from those of later mmsegmentation versions to those of the SegFormer authors, used here."""
from __future__ import annotations

import re

import torch
from torch import Tensor

# later name below layers.<stage - 1> -> published name for <stage> and, inside of it, <block>
NAMES = {
    r'0\.projection': 'patch_embed{stage}.proj',
    r'0\.norm': 'patch_embed{stage}.norm',
    r'1\.(\d+)\.(norm[12]|attn\.sr|attn\.norm)': 'block{stage}.{0}.{1}',
    r'1\.(\d+)\.attn\.(?:attn\.)?out_proj': 'block{stage}.{0}.attn.proj',
    r'1\.(\d+)\.ffn\.layers\.0': 'block{stage}.{0}.mlp.fc1',
    r'1\.(\d+)\.ffn\.layers\.1': 'block{stage}.{0}.mlp.dwconv.dwconv',
    r'1\.(\d+)\.ffn\.layers\.4': 'block{stage}.{0}.mlp.fc2',
    '2': 'norm{stage}',
}
PROJECTIONS = re.compile(r'1\.(\d+)\.attn\.(?:attn\.)?in_proj_(weight|bias)')  # queries, keys and values in one


def mit_keys(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename later mmsegmentation's MiT weights; published names and unknown ones stay as they are."""
    renamed = {}
    for key, value in state.items():
        renamed.update(_renamed(key, value))
    return renamed


def _renamed(key: str, value: Tensor) -> dict[str, Tensor]:
    match = re.fullmatch(r'layers\.(\d)\.(.+)', key)
    if not match:
        return {key: value}
    stage, rest = int(match[1]) + 1, match[2]
    together = PROJECTIONS.fullmatch(rest)
    if together:
        prefix, kind = f'block{stage}.{together[1]}.attn', together[2]
        q, k, v = value.tensor_split(3)
        return {f'{prefix}.q.{kind}': q, f'{prefix}.kv.{kind}': torch.cat([k, v])}
    name, _, kind = rest.rpartition('.')
    for pattern, published in NAMES.items():
        found = re.fullmatch(pattern, name)
        if found:
            name = published.format(*found.groups(), stage=stage)
            is_linear = name.endswith(('fc1', 'fc2')) and kind == 'weight'  # a 1x1 convolution there
            return {f'{name}.{kind}': value.flatten(1) if is_linear else value}
    return {key: value}
