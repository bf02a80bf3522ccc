"""Hook of mkdocs: links between documents lead to the right place on the site as they do in the repository.

Documents in the root of the repository are pages of the site, too. Other files outside of docs/ and the logs are not
part of it: links to them lead to the repository (``repo_url`` in mkdocs.yml), and are plain text without that address.
"""
from __future__ import annotations

import posixpath
import re
from functools import partial
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT_PAGES = {
    'README.md': 'start.md',
    'README_zh.md': 'start_zh.md',
    'CONTRIBUTING.md': 'contributing.md',
    'CHANGELOG.md': 'changes.md',
    'LICENSES.md': 'licences.md',
}
_LINK = re.compile(r'(?P<image>!?)\[(?P<text>[^\[\]]*)\]\((?P<target>[^()\s]+)\)')
_FENCE = re.compile(r'(^```.*?^```[^\n]*$)', re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: Any, **_: Any) -> Files:
    """Add the documents of the root."""
    root = Path(config.config_file_path).parent
    for source, page in ROOT_PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(root / source)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Rewrite the links of a page, outside of code blocks."""
    replace = partial(_replaced, page=page.file.src_uri, repository=config.repo_url)
    parts = _FENCE.split(markdown)
    return ''.join(part if part.startswith('```') else _LINK.sub(replace, part) for part in parts)


def site_target(target: str, page: str) -> str | None:
    """Where a link of the repository leads on the site.

    Args:
        target: as the document has it, a path relative to it; may end in ``#anchor``.
        page: path of the document below docs/, that of the page for documents of the root.

    Returns:
        The path relative to the page; None: it is not part of the site.
    """
    path, mark, anchor = target.partition('#')
    path = _in_repository(path, page)
    if path in ROOT_PAGES:
        path = ROOT_PAGES[path]
    elif path.startswith('docs/') and not path.startswith('docs/logs'):
        path = path.removeprefix('docs/')
    else:
        return None
    return posixpath.relpath(path, posixpath.dirname(page) or '.') + mark + anchor


def _in_repository(path: str, page: str) -> str:
    folder = '' if page in ROOT_PAGES.values() else posixpath.join('docs', posixpath.dirname(page))
    return posixpath.normpath(posixpath.join(folder, path))


def _replaced(link: re.Match[str], page: str, repository: str | None) -> str:
    target, text = link['target'], link['text']
    if target.startswith('#') or re.match(r'[a-z]+:', target):
        return link[0]
    inside = site_target(target, page)
    if inside is not None:
        return f'{link["image"]}[{text}]({inside})'
    if repository:
        return f'[{text}]({repository.rstrip("/")}/blob/main/{_in_repository(target, page)})'
    return text
