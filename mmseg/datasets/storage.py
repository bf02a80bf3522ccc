"""Listing and reading files, in folders and zip archives; writing them so that a reader never sees half of one."""
from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmseg.datasets.archives import open_archive, split_path
from mmseg.datasets.limits import VARIABLE, max_bytes, require_file
from mmseg.errors import DataError

_CHECKS = {
    'image': 'check data_root, img_dir, ann_dir and the suffixes',
    'label map': 'check ann_dir and seg_map_suffix, or run the converter of the data set (tools/convert_datasets)'
}


@dataclass(frozen=True)
class Listing:
    """What is in a folder and its subfolders; paths are relative to it, with forward slashes, in alphabetical order.

    Attributes:
        files: those with one of the suffixes that were asked for.
        left_out: the others, among them files and folders (with a slash at the end) whose name begins with a dot.
    """
    files: list[str]
    left_out: list[str]


def list_files(folder: str | os.PathLike, suffixes: str | tuple[str, ...]) -> Listing:
    """The files below ``folder``, on disk or in a zip archive, that end in one of ``suffixes`` in upper or lower case.

    Links to folders are followed. Names that begin with a dot are left out: macOS and Jupyter make such copies.

    Raises:
        DataError: if a folder cannot be read.
    """
    folder = os.fspath(folder)
    place = split_path(folder)
    found = sorted(_walk(folder) if place is None else _members(*place))
    wanted = (suffixes,) if isinstance(suffixes, str) else suffixes
    wanted = tuple(suffix.lower() for suffix in wanted)
    files = [name for name in found if name.lower().endswith(wanted) and not _is_hidden(name)]
    return Listing(files, sorted(set(found) - set(files)))


def _walk(folder: str, below: str = '', above: frozenset[tuple[int, int]] = frozenset()) -> Iterator[str]:
    """All files below a folder; hidden folders as one entry, linked ones once on each way down."""
    try:
        status = os.stat(folder)
        entries = list(os.scandir(folder))
    except OSError as error:
        raise DataError(f'the folder {folder} cannot be read: {error.strerror}') from None
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        return
    for entry in entries:
        name = below + entry.name
        if not _is_folder(entry):
            yield name
        elif entry.name.startswith('.'):
            yield f'{name}/'
        else:
            yield from _walk(entry.path, f'{name}/', above | {identity})


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _members(archive: str, folder: str) -> Iterator[str]:
    start = '' if folder == '.' else f'{folder}/'
    return (name[len(start):] for name in open_archive(archive).members if name.startswith(start))


def _is_hidden(name: str) -> bool:
    return name.startswith('.') or '/.' in name


def by_stem(folder: str, suffixes: str | tuple[str, ...], key: str) -> tuple[dict[str, str], list[str]]:
    """Files of :func:`list_files` by their path without suffix, and what it leaves out.

    Args:
        suffixes: the end to cut off, or several of which any will do.
        key: of the config, for messages.

    Raises:
        DataError: if two files differ in their suffix only.
    """
    listing = list_files(folder, suffixes)
    files: dict[str, str] = {}
    for file in listing.files:
        suffix = suffixes if isinstance(suffixes, str) else Path(file).suffix
        other = files.setdefault(file[:len(file) - len(suffix)], file)
        if other != file:
            raise DataError(f'{folder} holds both {other} and {file}: say which with {key}, or remove one')
    return files, listing.left_out


def read_text(path: str | os.PathLike, key: str) -> str:
    """The content of a text file in UTF-8 that the config names at ``key``; a byte order mark is no part of it.

    Raises:
        DataError: if it cannot be read.
    """
    try:
        require_file(path)
        return Path(path).read_text(encoding='utf-8-sig')
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f'{key}={str(path)!r} cannot be read as a text file: {error}') from None


def is_packed(path: str) -> bool:
    """Whether ``path`` is, or lies in, a zip archive."""
    return split_path(path) is not None


def is_folder(path: str) -> bool:
    """Whether ``path`` is a folder, on disk or in a zip archive.

    Raises:
        DataError: if it names an archive that does not exist or is damaged.
    """
    place = split_path(path)
    return os.path.isdir(path) if place is None else place[1] in open_archive(place[0]).folders


def file_size(path: str) -> int:
    """Bytes of a file, on disk or in a zip archive; -1 if it does not exist."""
    place = split_path(path)
    if place is None:
        return os.path.getsize(path) if os.path.isfile(path) else -1
    _, entry = open_archive(place[0]).members.get(place[1], (None, None))
    return -1 if entry is None else entry.file_size


def read_bytes(path: str, what: str) -> bytes:
    """The content of a file, on disk or in a zip archive.

    Args:
        what: 'image' or 'label map', for messages.

    Raises:
        DataError: if it is missing, too large (``MMSEG_MAX_PIXELS``) or cannot be read.
    """
    try:
        place = split_path(path)
        if place is not None:
            return open_archive(place[0]).read(place[1])
        size, limit = require_file(path), max_bytes()
        if size > limit:
            raise OSError(f'it has {size} bytes, the limit is {limit}: raise it by the environment variable {VARIABLE}')
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise DataError(f'{what} {path} does not exist: {_CHECKS[what]}') from None
    except OSError as error:
        raise DataError(f'{what} {path} cannot be read: {error}') from None
