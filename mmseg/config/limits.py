"""Numbers in a config that nothing can be built with, wherever it runs."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmseg.errors import ConfigError

_LAYERS_AND_FACTORS = """
    depths depth num_convs key_query_num_convs num_stages mlp_ratios sr_ratios dilations dilation strides pool_scales
    kernel_size conv_kernel_size in_conv_kernel_size down_factor scales feature_scale radix reduction_factor grid
    img_ratios ratio_range scale_factor tile_grid_size"""
_WIDTHS = """
    channels in_channels in_chans embed_dim embed_dims attention_embed_dim isa_channels pam_channels c1_channels
    c1_in_channels base_channels stem_channels base_width groups num_heads heads dim projection"""
# By the last part of a key, the largest number that makes sense: with all else as usual it builds within moments.
LARGEST: dict[str, int] = {
    **dict.fromkeys(_LAYERS_AND_FACTORS.split(), 1000),
    **dict.fromkeys(_WIDTHS.split(), 2**16),
    'num_classes': 254,  # label maps have 8 bits, and 255 is the ignored id
    'workers_per_gpu': 256,
    'accumulate': 10**4,
    'max_iters': 10**9,
    'size': 10**6,  # of an instance bank, or a side in pixels
}


def check_limits(content: dict[str, Any]) -> None:
    """Refuse numbers beyond :data:`LARGEST` in a whole config.

    Raises:
        ConfigError: naming the dotted key.
    """
    for section in ('model', 'uda', 'data', 'optimizer_config', 'runner'):
        for key, name, value in limited(content.get(section), section):
            if value > LARGEST[name]:
                raise ConfigError(f'{key}: {value} is out of all proportion, it can be {LARGEST[name]} at most', name,
                                  key)


def limited(node: Any, key: str) -> Iterator[tuple[str, str, float]]:
    """Dotted key, last part of it, and value (of a list the largest) of all entries with a limit below ``key``."""
    for path, name, entry in entries(node, key):
        if name in LARGEST:
            yield path, name, max(numbers(entry), default=0)
        yield from limited(entry, path)


def entries(node: Any, key: str) -> Iterator[tuple[str, Any, Any]]:
    """Dotted key, name (or position) and value of all that a dict or list holds."""
    if isinstance(node, (dict, list, tuple)):
        for name, entry in node.items() if isinstance(node, dict) else enumerate(node):
            yield f'{key}.{name}', name, entry


def numbers(value: Any) -> list[float]:
    """The numbers in a value, which may be a list of lists."""
    if isinstance(value, (list, tuple)):
        return [number for entry in value for number in numbers(entry)]
    return [value] if isinstance(value, (int, float)) and not isinstance(value, bool) else []
