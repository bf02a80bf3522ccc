"""Decode and resize the training images of a config once.

    udaseg cache CONFIG --out data/cache/gta2cs --nproc 8
    udaseg train CONFIG     # with data=dict(train=dict(cache='data/cache/gta2cs')) in it
"""
from __future__ import annotations

import argparse
from collections.abc import Sequence

from mmseg.config.command_line import add_config_options


def parse_args(args: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line of cache_dataset."""
    parser = argparse.ArgumentParser(description='Decode and resize the training images of a config once',
                                     allow_abbrev=False)
    parser.add_argument('config')
    parser.add_argument('--out', required=True, help='folder of the cache; data.train.cache names it afterwards')
    parser.add_argument('--nproc', type=int, default=4, help='processes (default: %(default)s)')
    add_config_options(parser)
    return parser.parse_args(args)


def main(args: Sequence[str] | None = None) -> None:
    """Run the program."""
    options = parse_args(args)
    from mmseg.apis import load_config
    from mmseg.datasets.sample_cache import cache_dataset
    data = load_config(options.config, options.options, trust=options.trust_config).get('data') or {}
    cache_dataset(data.get('train'), options.out, options.nproc)
    print(f'Use it with data=dict(train=dict(cache={options.out!r})) in the config, or --options '
          f'data.train.cache={options.out}')
