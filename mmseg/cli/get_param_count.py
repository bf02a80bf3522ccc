"""Count parameters: udaseg params CONFIG ..."""
from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from prettytable import PrettyTable

from mmseg.config.command_line import add_config_options
from mmseg.errors import ConfigError


def count(model_cfg: Mapping[str, Any]) -> dict[str, int]:
    """Parameters of each part of a segmentor (backbone, neck, decode_head, auxiliary_head), and their total.

    Args:
        model_cfg: the ``model`` section of a config.

    Raises:
        ConfigError: for a type that there is not, such as that of a base which leaves the backbone to its children.
    """
    from mmseg.models.outline import outline
    try:
        model = outline({**model_cfg, 'pretrained': None})
    except KeyError as error:
        raise ConfigError(error.args[0]) from error
    parts = {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
    return {**parts, 'total': sum(parts.values())}


def main(args: Sequence[str] | None = None) -> None:
    """Print one table per config. Errors are left to the caller."""
    parser = argparse.ArgumentParser(description='Count the parameters of the network of a config, part by part')
    parser.add_argument('config', nargs='+', help='config file (.py, .json, .yaml)')
    add_config_options(parser)
    args = parser.parse_args(args)
    from mmseg.config.reading import load_config
    for config in args.config:
        cfg = load_config(config, args.options, trust=args.trust_config)
        if 'model' not in cfg:
            raise ValueError(f'{config} has no model section')
        parts = count(cfg.model)
        table = PrettyTable(['part', 'parameters', 'share'], title=config, align='r')
        table.align['part'] = 'l'
        for name, number in parts.items():
            table.add_row([name, f'{number:,}', f'{100 * number / parts["total"]:.1f} %'])
        print(table)
