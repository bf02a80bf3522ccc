"""Fetching files from the Hugging Face Hub, or a mirror of it.

``HF_ENDPOINT``, ``HF_HUB_OFFLINE``, ``HF_TOKEN`` and the client's other variables are obeyed.
"""
from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

WEB = 'https://huggingface.co'


def page_of(repo: str, name: str, revision: str) -> str:
    """The address at which a person finds a file with a browser."""
    return f'{WEB}/{repo}/resolve/{revision}/{name}'


def endpoint() -> str | None:
    """Where the Hub is; None: where its client says. It may be set after that has been imported."""
    return os.environ.get('HF_ENDPOINT', '').rstrip('/') or None


def reason(error: BaseException) -> str:
    """Why the Hub's client failed, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not re.match(r'\d+ (Client|Server) Error', line)]
    return (telling or lines or [type(error).__name__])[0]


def fetch(repo: str, names: Sequence[str], revision: str, folder: Path | None = None) -> Path:
    """The first of the files that a repository has; a bar shows the progress.

    Without a network the Hub client's cache is looked into.

    Args:
        repo: ``owner/name``.
        names: of the files, the preferred one first.
        revision: a commit, branch or tag.
        folder: where a download goes; None: into the client's cache.

    Raises:
        FileNotFoundError: if none can be had, saying why.
    """
    import huggingface_hub as hub  # here, since it takes a second
    from huggingface_hub.utils import EntryNotFoundError

    where = endpoint()
    problem: Exception = FileNotFoundError('no file was asked for')
    for name in names:
        try:
            # one request that is not repeated: the download would try for half a minute whether there is a network
            hub.get_hf_file_metadata(hub.hf_hub_url(repo, name, revision=revision, endpoint=where))
        except EntryNotFoundError as error:
            problem = error
            continue
        except Exception as error:  # the client and its network library raise kinds of their own
            cached = hub.try_to_load_from_cache(repo, name, revision=revision)
            if isinstance(cached, str):
                return Path(cached)
            problem = error
            break
        try:
            return Path(hub.hf_hub_download(repo, name, revision=revision, local_dir=folder, endpoint=where))
        except Exception as error:
            problem = error
            break
    raise FileNotFoundError(reason(problem)) from problem
