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

from mmseg.datasets.errors import DataError

_PATH = re.compile(r'(?P<archive>.*?\.zip)(?:[/\\](?P<member>.*))?', re.IGNORECASE | re.DOTALL)
_LOCAL_HEADER = struct.Struct('<4s22sHH')  # its end: the lengths of name and extra field, which stand before the data
_ENCRYPTED = 1


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
        files = sorted(glob.glob(pattern))
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
            with zipfile.ZipFile(file) as archive:
                entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        except (OSError, zipfile.BadZipFile) as error:
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
            OSError: if it is damaged, encrypted or compressed in an unusual way.
        """
        if member not in self.members:
            raise FileNotFoundError(member)
        file, entry = self.members[member]
        if entry.flag_bits & _ENCRYPTED or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise OSError(f'it is encrypted or packed by method {entry.compress_type}; unpack {file}')
        with open(file, 'rb') as stream:
            stream.seek(entry.header_offset)
            *_, name_length, extra_length = _LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))
            stream.seek(name_length + extra_length, os.SEEK_CUR)
            content = stream.read(entry.compress_size)
        try:
            if entry.compress_type == zipfile.ZIP_DEFLATED:
                content = zlib.decompress(content, -zlib.MAX_WBITS)
        except zlib.error as error:
            raise OSError(f'{file} is damaged there ({error}): download it again') from None
        if zlib.crc32(content) != entry.CRC:
            raise OSError(f'{file} is damaged there (check sum): download it again')
        return content


@cache
def open_archive(pattern: str) -> Archive:
    """The archive of a path or pattern; its table of contents is read once per process."""
    return Archive(pattern)
