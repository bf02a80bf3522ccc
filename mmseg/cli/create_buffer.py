"""Write a memory bank (DIDA): f_buffer_s.npz, the same as f_buffer.npz, and l_buffer_s.npz in embedding_cache/.

    python create_buffer.py                                                         random unit vectors, a placeholder
    python create_buffer.py --mode source --config CONFIG --checkpoint CHECKPOINT   class means of source images
    python create_buffer.py --mode checkpoint --checkpoint CHECKPOINT               the bank of a training with DIDA
"""
from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def random_bank(size: int, dim: int, seed: int) -> tuple[Tensor, Tensor]:
    """Unit vectors [K, D] in random directions, and labels [K] that share them equally among 19 classes.

    No entry is negative, as none is in a mean of features behind a ReLU; the published program needs that.
    """
    import torch

    from mmseg.models.uda.dida.memory_bank import RAREST_FIRST, balanced_labels
    rows = torch.randn(size, dim, generator=torch.Generator().manual_seed(seed)).abs()
    return torch.nn.functional.normalize(rows, dim=1), balanced_labels(size, RAREST_FIRST)


def source_bank(config: str, checkpoint: str, size: int, seed: int) -> tuple[Tensor, Tensor]:
    """Features [K, D] and labels [K] of the labelled images of a config, seen by a trained network.

    Each row is the mean embedding of one class in one training crop; the images are drawn until all rows are filled,
    each once at most.

    Raises:
        ValueError: if the images do not fill the bank, or the config projects embeddings.
    """
    from mmseg.apis import init_segmentor
    from mmseg.datasets import build_dataset, build_train_loader
    from mmseg.models.uda.dida.first_pass import fill, missing_classes
    from mmseg.models.uda.dida.memory_bank import MemoryBank
    segmentor = init_segmentor(config, checkpoint)
    options = (segmentor.cfg.get('uda') or {}).get('instance_bank') or {}
    if options.get('projection'):
        raise ValueError(f'{config} projects the embedding, and the projection is trained with the bank: take that of '
                         'a training with --mode checkpoint')
    train, num_classes = segmentor.cfg.data.train, segmentor.num_classes
    source = build_dataset(train.get('source', train))
    device = next(segmentor.parameters()).device
    bank = MemoryBank.empty(size, num_classes, segmentor.embedding_channels, options.get('classes')).to(device)
    fill(bank, segmentor, build_train_loader(source, 1, 0, seed=seed, stop=len(source)))
    missing = missing_classes(bank)
    if missing:
        raise ValueError(f'{len(source)} images do not fill {size} rows, those of the classes {sorted(missing)} are '
                         'missing: lower --size, or name the classes of the source in uda.instance_bank.classes')
    return bank.feature, bank.label


def checkpoint_bank(checkpoint: str) -> tuple[Tensor, Tensor]:
    """The features [K, D] and labels [K] that a training with DIDA has collected.

    Raises:
        ValueError: if the checkpoint has no bank, or one that is not full.
    """
    from mmseg.checkpoint.file import read_checkpoint
    state = read_checkpoint(checkpoint).get('state_dict', {})
    feature, label, filled = (state.get(f'instance_bank.bank.{name}') for name in ('feature', 'label', 'filled'))
    if feature is None:
        raise ValueError(f'{checkpoint} has no memory bank: it is no checkpoint of a training with DIDA')
    if not filled.all():
        raise ValueError(f'{checkpoint}: {int(filled.sum())} of {len(filled)} rows of its bank are filled, take a '
                         'later checkpoint')
    return feature, label


def main(args: Sequence[str] | None = None) -> None:
    """Write the files. Errors are left to the caller."""
    parser = argparse.ArgumentParser(description='Write a memory bank of DIDA')
    parser.add_argument('--mode', choices=['random', 'source', 'checkpoint'], default='random',
                        help='random unit vectors; class means of source images; the bank of a training with DIDA')
    parser.add_argument('--size', type=int, default=300, help='rows, of a random bank or one of source images')
    parser.add_argument('--dim', type=int, default=256, help='channels of a random bank')
    parser.add_argument('--seed', type=int, default=0, help='of the random rows, or of the order of the images')
    parser.add_argument('--config', help='whose data.train and network make a bank of source images')
    parser.add_argument('--checkpoint', help='weights of that network, or the training whose bank is written')
    parser.add_argument('--out', type=Path, default=Path('embedding_cache'), help='folder of the files')
    args = parser.parse_args(args)
    for name in dict(source=('config', 'checkpoint'), checkpoint=('checkpoint', )).get(args.mode, ()):
        if getattr(args, name) is None:
            parser.error(f'--mode {args.mode} needs --{name}')
    if min(args.size, args.dim) < 1:
        parser.error('--size and --dim must be at least 1')
    from mmseg.models.uda.dida.memory_bank import FILES, write_bank
    for path in (args.out / name for name in FILES):
        if path.exists():
            raise FileExistsError(f'{path} exists: remove it, or name another folder with --out')
    banks = dict(random=lambda: random_bank(args.size, args.dim, args.seed),
                 source=lambda: source_bank(args.config, args.checkpoint, args.size, args.seed),
                 checkpoint=lambda: checkpoint_bank(args.checkpoint))
    feature, label = banks[args.mode]()
    write_bank(args.out, feature, label)
    print(f'wrote {args.out}: {len(label)} rows of {feature.shape[1]} channels for {len(label.unique())} classes')
