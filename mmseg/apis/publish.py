"""Writing a network for others: weights with all that is needed to predict, and a card, in a folder or on the Hub."""
from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mmseg
from mmseg.checkpoint.export import write
from mmseg.checkpoint.file import plain
from mmseg.checkpoint.hub import WEB, endpoint, reason
from mmseg.errors import CheckpointError
from mmseg.utils.atomic import write_atomically
from mmseg.utils.config_text import format_config

if TYPE_CHECKING:
    from mmseg.apis.model import Model

WEIGHTS = 'model.safetensors'
PLACES = ('data_root', 'img_dir', 'ann_dir', 'split')  # of the test data: they mean nothing on another machine


def write_folder(model: Model, folder: Path, card: str) -> Path:
    """Write ``model.safetensors`` and the card as ``README.md``; returns the folder.

    The file's header has names and colours of the classes, and of the config what predicting needs, without folders.

    Raises:
        CheckpointError: if it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    network = {key: value for key, value in model.cfg.model.to_dict().items() if key not in ('pretrained', 'train_cfg')}
    content: dict[str, Any] = dict(model=network)
    test = (model.cfg.get('data') or {}).get('test')
    if test:
        content['data'] = dict(test={key: value for key, value in test.to_dict().items() if key not in PLACES})
    known = {key: model.facts[key] for key in ('iter', 'seed') if key in model.facts}
    meta = plain(dict(known, CLASSES=model.classes, PALETTE=model.palette, mmseg_version=mmseg.__version__))
    state = {key: value.detach().cpu().clone().contiguous() for key, value in model.network.state_dict().items()}
    write(dict(meta=dict(meta, config=format_config(content)), state_dict=state), folder / WEIGHTS)
    write_atomically(folder / 'README.md', lambda path: Path(path).write_text(card, encoding='utf-8'))
    return folder


def push_folder(model: Model, repo: str, card: str, private: bool) -> str:
    """Upload what :func:`write_folder` writes as one commit; returns the repository's address.

    Raises:
        CheckpointError: if the Hub cannot be reached or refuses.
    """
    from huggingface_hub import HfApi

    with tempfile.TemporaryDirectory() as folder:
        write_folder(model, Path(folder), card)
        try:
            hub = HfApi(endpoint=endpoint())
            hub.create_repo(repo, private=private, exist_ok=True)
            hub.upload_folder(repo_id=repo, folder_path=folder, commit_message='Upload network and model card')
        except Exception as error:  # the client and its network library raise kinds of their own
            raise CheckpointError(f'{repo}: the Hugging Face Hub did not take it ({reason(error)}): log in with '
                                  '`hf auth login`, or set HF_TOKEN to a token that may write there') from error
    return f'{endpoint() or WEB}/{repo}'
