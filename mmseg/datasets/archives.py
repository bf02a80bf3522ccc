"""Files inside zip archives, named like files in a folder: ``data/x.zip/images/1.png``.

``data/*.zip`` (a ``*`` in the file name) is all matching archives as if they were unpacked into one folder.
"""
from __future__ import annotations

import glob
import os
import re
import struct
import zipfile
import zlib
from functools import cache
from typing import BinaryIO

from mmseg.datasets.limits import VARIABLE, max_bytes, require_file
from mmseg.errors import DataError

_PATH = re.compile(r'(?P<archive>.*?\.zip)(?:[/\\](?P<member>.*))?', re.IGNORECASE | re.DOTALL)
_LOCAL_START = b'PK\3\4'
_LENGTHS = struct.Struct('<26xHH')  # of the name and an extra field, which stand between a member's header and data
_ENCRYPTED, _UTF8 = 1, 0x800
_MOST_AFTER_DATA = 24  # bytes of a descriptor, which may stand between a member and the next


def split_path(path: str) -> tuple[str, str] | None:
    """Archive (or pattern of archives) and the member's path in it; None if ``path`` is not inside an archive."""
    match = _PATH.fullmatch(path)
    if match is None or os.path.isdir(match['archive']):
        return None
    return match['archive'], os.path.normpath(match['member'] or '').replace('\\', '/')


class Archive:
    """The members of one zip file, or of several as one.

    Only a table of contents is kept. Each read opens the file anew, so that worker processes, forked ones too, share no
    position in it.

    Args:
        pattern: path of a zip file; ``*`` stands for any part of its name.

    Attributes:
        members: path with forward slashes, to archive file and entry.
        folders: paths of all folders; '.' is the top.

    Raises:
        DataError: if there is no such archive, it is damaged, or two of them hold different files of one name.
    """

    def __init__(self, pattern: str) -> None:
        files = sorted(glob.glob(glob.escape(pattern).replace('[*]', '*')))
        if not files:
            raise DataError(f'the archive {pattern} does not exist: check data_root, img_dir and ann_dir')
        self.pattern = pattern
        self.members: dict[str, tuple[str, zipfile.ZipInfo]] = {}
        for file in files:
            self._add(file)
        self.folders = {'.'}
        for name in self.members:
            while (name := os.path.dirname(name)) and name not in self.folders:
                self.folders.add(name)

    def _add(self, file: str) -> None:
        try:
            require_file(file)
            with open(file, 'rb') as stream, zipfile.ZipFile(stream) as archive:
                _check(stream, archive)
                entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        except Exception as error:  # damage makes the module zipfile raise errors of many kinds
            raise DataError(f'the archive {file} is damaged or incomplete: download it again ({error})') from None
        for entry in entries:
            name = entry.filename.replace('\\', '/')  # some programs on Windows write them
            other, there = self.members.setdefault(name, (file, entry))
            if there.CRC != entry.CRC and os.path.basename(name).lower().endswith(('.png', '.jpg', '.json')):
                raise DataError(f'{other} and {file} hold different files {name}: name one archive, not {self.pattern}')

    def read(self, member: str) -> bytes:
        """The content of a member.

        Raises:
            FileNotFoundError: if there is no such member.
            OSError: if it is damaged, encrypted, too large or compressed in an unusual way.
        """
        if member not in self.members:
            raise FileNotFoundError(member)
        file, entry = self.members[member]
        if entry.flag_bits & _ENCRYPTED or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise OSError(f'it is encrypted or packed by method {entry.compress_type}; unpack {file}')
        if max(entry.file_size, entry.compress_size) > (limit := max_bytes()):
            raise OSError(f'it has {entry.file_size} bytes, packed {entry.compress_size}, the limit is {limit}: '
                          f'raise it by the environment variable {VARIABLE}')
        with open(file, 'rb') as stream:
            stream.seek(_start_of_data(stream, entry))
            content = stream.read(entry.compress_size)
        try:
            if entry.compress_type == zipfile.ZIP_DEFLATED:
                content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, entry.file_size + 1)
        except zlib.error as error:
            raise OSError(f'{file} is damaged there ({error}): download it again') from None
        if len(content) != entry.file_size or zlib.crc32(content) != entry.CRC:
            raise OSError(f'{file} is damaged there (size or check sum): download it again')
        return content


def _check(stream: BinaryIO, archive: zipfile.ZipFile) -> None:
    """Compare the table of contents, which has no check sum, with what stands before each member.

    Raises:
        OSError: if names differ, members overlap, or a member is not in the table.
    """
    end = 0
    for entry in sorted(archive.infolist(), key=lambda entry: entry.header_offset):
        _check_gap(stream, end, entry.header_offset)
        end = _start_of_data(stream, entry) + entry.compress_size
    _check_gap(stream, end, archive.start_dir)


def _check_gap(stream: BinaryIO, end: int, start: int) -> None:
    if end > start:
        raise OSError(f'members overlap at byte {start}')
    if start - end > _MOST_AFTER_DATA:
        stream.seek(end)
        if _LOCAL_START in stream.read(_MOST_AFTER_DATA + len(_LOCAL_START)):
            raise OSError(f'the member at byte {end} is not in its table of contents')


def _start_of_data(stream: BinaryIO, entry: zipfile.ZipInfo) -> int:
    stream.seek(entry.header_offset)
    name = entry.orig_filename.encode('utf-8' if entry.flag_bits & _UTF8 else 'cp437')
    header = stream.read(_LENGTHS.size + len(name))
    if not header.startswith(_LOCAL_START) or header[_LENGTHS.size:] != name or not name:
        raise OSError(f'{entry.filename} is not where the table of contents says')
    return entry.header_offset + _LENGTHS.size + sum(_LENGTHS.unpack_from(header))


@cache
def open_archive(pattern: str) -> Archive:
    """The archive of a path or pattern; its table of contents is read once per process."""
    return Archive(pattern)
