"""The page over HTTP: two addresses, no file of the machine among them."""
from __future__ import annotations

import ipaddress
import json
import socket
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from mmseg.errors import DataError
from mmseg.serve.page import POLICY, page
from mmseg.serve.viewer import Viewer

CHUNK = 2**20  # bytes
FILES_AT_A_TIME = 4  # that are received or wait for the network; who comes later is asked to come again
PATIENCE = 60  # seconds that a browser may take for its next bytes
HEADERS = {
    'Content-Security-Policy': f"{POLICY}; frame-ancestors 'none'",
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    'Cache-Control': 'no-store',
}


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine reach that address."""
    try:
        return host == 'localhost' or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class PageServer(ThreadingTCPServer):
    """Answers browsers from :meth:`serve_forever` on, until it is closed, by a ``with`` block for example.

    Args:
        viewer: who looks at the files.
        host: address to listen at.
        port: 0 takes a free one.

    Raises:
        OSError: if nobody can listen there, naming host and port.
    """
    allow_reuse_address = True
    daemon_threads = True  # a browser may keep a connection open and say nothing

    def __init__(self, viewer: Viewer, host: str = '127.0.0.1', port: int = 0) -> None:
        self.viewer, self.page = viewer, page(viewer).encode()
        self.own_names = {host, 'localhost', '127.0.0.1', '::1'} if is_loopback(host) else None
        self.places = threading.BoundedSemaphore(FILES_AT_A_TIME)
        self.address_family = socket.AF_INET6 if ':' in host else socket.AF_INET
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError) as error:
            raise OSError(f'cannot listen at {host}, port {port}: {getattr(error, "strerror", None) or error}; choose '
                          'others with --host and --port') from error
        self.uploads = tempfile.TemporaryDirectory(prefix='udaseg_serve_', ignore_cleanup_errors=True)

    @property
    def address(self) -> str:
        """What to open in a browser."""
        host, port = self.server_address[:2]
        return f'http://{f"[{host}]" if self.address_family == socket.AF_INET6 else host}:{port}'

    def __exit__(self, *error: Any) -> None:
        """Take no more requests, wait for the network if it is at work, remove what has been uploaded."""
        super().__exit__(*error)
        self.viewer.wait()
        self.uploads.cleanup()


class _Refused(Exception):
    """A request that is not answered: status and message."""


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    timeout = PATIENCE
    server_version, sys_version = 'udaseg', ''

    def do_GET(self) -> None:
        """The page; there is nothing else to get."""
        self._respond(self._get)

    def do_POST(self) -> None:
        """``/predict?name=FILE`` with the content of the file: a line of JSON for each answer of the viewer.

        A mistake is a dict with nothing but ``error``, the message.
        """
        self._respond(self._post)

    def _respond(self, answer: Callable[[], None]) -> None:
        with suppress(ConnectionError, TimeoutError):  # the browser has gone
            try:
                self._check_names()
                answer()
            except _Refused as refusal:
                status, message = refusal.args
                self._begin(status, 'application/json')
                self.wfile.write(json.dumps(dict(error=message)).encode() + b'\n')

    def _get(self) -> None:
        if self.path == '/favicon.ico':
            self._begin(204, 'image/x-icon')
            return
        if self.path != '/':
            raise _Refused(404, 'there is nothing but the page')
        self._begin(200, 'text/html; charset=utf-8')
        self.wfile.write(self.server.page)

    def _post(self) -> None:
        where = urlsplit(self.path)
        if where.path != '/predict':
            raise _Refused(404, 'files go to /predict')
        length = self._length()
        if not self.server.places.acquire(blocking=False):
            raise _Refused(503, 'others are being answered: try again in a moment')
        try:
            self._predict(parse_qs(where.query).get('name', ['the file'])[0][:200], length)
        finally:
            self.server.places.release()

    def _check_names(self) -> None:
        """Pages of other people may not use this one, by a link of their own or a name of theirs that leads here."""
        host = self.headers.get('Host', '')
        name = urlsplit(f'//{host}').hostname
        if self.server.own_names is not None and name not in self.server.own_names:
            raise _Refused(403, f'this page is at {self.server.address}')
        origin = self.headers.get('Origin')
        if origin is not None and urlsplit(origin).netloc != host:
            raise _Refused(403, 'only the page itself may send files')

    def _length(self) -> int:
        text, limit = self.headers.get('Content-Length', ''), self.server.viewer.limits.megabytes
        if not text.isdecimal():
            raise _Refused(411, 'Content-Length is missing')
        if int(text) > limit * 10**6:
            raise _Refused(413, f'the file has {int(text) / 10**6:.1f} MB, the limit of this page is {limit}: make it '
                           'smaller, or start the page with another --max-megabytes')
        return int(text)

    def _predict(self, name: str, length: int) -> None:
        with tempfile.TemporaryDirectory(dir=self.server.uploads.name, ignore_cleanup_errors=True) as folder:
            path = Path(folder, 'upload').with_suffix(_suffix(name))
            self._receive(path, length)
            answers = self.server.viewer.answers(path, name)
            try:
                answer = next(answers)
            except DataError as error:
                raise _Refused(422, str(error)) from None
            self._begin(200, 'application/x-ndjson')
            while answer is not None:
                self.wfile.write(json.dumps(answer).encode() + b'\n')
                try:
                    answer = next(answers, None)
                except DataError as error:  # after some frames
                    answer = dict(error=str(error))

    def _receive(self, path: Path, length: int) -> None:
        with path.open('wb') as file:
            while length:
                chunk = self.rfile.read(min(length, CHUNK))
                if not chunk:
                    raise ConnectionError('the browser has gone')
                file.write(chunk)
                length -= len(chunk)

    def _begin(self, status: int, kind: str) -> None:
        self.send_response(status)
        for key, value in {'Content-Type': kind, **HEADERS}.items():
            self.send_header(key, value)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing of each request."""


def _suffix(name: str) -> str:
    """That of a name, as far as it is one: nothing else of a name becomes part of a path."""
    suffix = Path(name).suffix.lower()
    return suffix if suffix[1:].isalnum() and suffix.isascii() else ''
