"""ImageNet weights of Mix Transformers from the Hugging Face Hub, by name."""
from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from mmseg.checkpoint.hub import fetch, page_of
from mmseg.errors import CheckpointError
from mmseg.utils.atomic import UNFINISHED

logger = logging.getLogger('mmseg')

FOLDER = Path('pretrained')  # relative to the working directory, as the paths in configs
REPOSITORY = 'smp-hub/{}.imagenet'  # the SegFormer authors' weights, as segmentation_models.pytorch publishes them
REVISIONS = {  # and pins them
    'mit_b0': '9ce53d104d92d75aabb00aae70677aaab67e7c84',
    'mit_b1': 'a04bf4f13a549bce677cf79b04852e7510782817',
    'mit_b2': '868ab6f13871dcf8c3d9f90ee4519403475b65ef',
    'mit_b3': '32558d12a65f1daa0ebcf4f4053c4285e2c1cbda',
    'mit_b4': '3a3454e900a4b4f11dd60eeb59101a9a1a36b017',
    'mit_b5': 'ced04d96c586b6297fd59a7a1e244fc78fdb6531',
}
FILES = {'model.safetensors': '.safetensors', 'pytorch_model.bin': '.pth'}  # and their suffixes in FOLDER


def mit_name(source: str, kind: str) -> str | None:
    """Which Mix Transformer's weights of the Hub are meant: by name, or by the usual path if nothing lies there.

    Args:
        source: what ``pretrained`` says.
        kind: type of the backbone.

    Raises:
        CheckpointError: if the name is that of another network than ``kind``.
    """
    if source in REVISIONS:
        if source != kind:
            raise CheckpointError(f'pretrained={source!r} are the weights of another network than {kind}: name those '
                                  f'of {kind}, or the path of a file')
        return source
    usual = kind in REVISIONS and Path(source) == FOLDER / f'{kind}.pth'
    return kind if usual and not Path(source).exists() else None


def mit_file(name: str) -> Path | None:
    """The file with a Mix Transformer's weights in pretrained/, of the authors or from the Hub; None: there is none."""
    paths = [FOLDER / f'{name}{suffix}' for suffix in ('.pth', '.safetensors')]
    return next((path for path in paths if path.exists()), None)


def mit_page(name: str) -> str:
    """The address of a Mix Transformer's weights."""
    return page_of(REPOSITORY.format(name), next(iter(FILES)), REVISIONS[name])


def fetch_mit(name: str, check: Callable[[Path], object]) -> Path:
    """Put a Mix Transformer's weights into pretrained/, of several processes only one at a time.

    Args:
        name: mit_b0 to mit_b5.
        check: reads the file before it gets its name; raises CheckpointError if that is damaged or of another network.

    Raises:
        FileNotFoundError: if it cannot be fetched; the message says which file belongs where.
        CheckpointError: if what the Hub gives is not usable.
    """
    from huggingface_hub.utils import WeakFileLock

    repo = REPOSITORY.format(name)
    target = FOLDER / f'{name}.safetensors'
    by_hand = f'Download {mit_page(name)} in another way (with a browser, or on another machine) and put it at {target}'
    FOLDER.mkdir(exist_ok=True)
    with WeakFileLock(FOLDER / f'.{name}.lock'):
        if present := mit_file(name):
            return present
        logger.info('downloading %s from %s to %s', name, repo, target)
        with tempfile.TemporaryDirectory(dir=FOLDER, prefix=UNFINISHED) as folder:
            try:
                file = fetch(repo, list(FILES), REVISIONS[name], Path(folder))
            except FileNotFoundError as error:
                raise FileNotFoundError(f'{name}: cannot download {target} from {repo} ({error}). {by_hand}') from error
            target = target.with_suffix(FILES[file.name])
            checked = Path(folder) / target.name  # by the suffix it is read
            shutil.copyfile(file, checked)
            try:
                check(checked)
            except CheckpointError as error:
                what = str(error).replace(str(checked), file.name)
                raise CheckpointError(f'{name}: what {repo} gives is not usable: {what}. {by_hand}') from error
            os.replace(checked, target)
    return target
