"""A local server that speaks the protocol of the Hugging Face Hub, as far as downloads and uploads need it."""
from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = 'c' * 40


class Hub:
    """What lies on the server, and what was asked of it.

    Attributes:
        files: contents by (repository, name).
        revisions: those that were asked for.
        downloads: how often a body was sent, by (repository, name).
        cut: how many bytes are missing at the end of bodies.
        url: for HF_ENDPOINT.
    """

    def __init__(self) -> None:
        self.files: dict[tuple[str, str], bytes] = {}
        self.revisions: set[str] = set()
        self.downloads: dict[tuple[str, str], int] = {}
        self.requests: list[str] = []
        self.cut = 0
        self.url = ''


@contextmanager
def serving() -> Iterator[Hub]:
    """A server on the loopback address for as long as the context lasts."""
    hub = Hub()

    class Handler(_Handler):
        pass

    Handler.hub = hub
    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    hub.url = f'http://127.0.0.1:{server.server_port}'
    thread = threading.Thread(target=server.serve_forever, kwargs=dict(poll_interval=0.02), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    hub: Hub

    def log_message(self, *args: Any) -> None:
        pass

    def _answer(self, status: int, body: bytes = b'', headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {'Content-Length': str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(body)

    def _refuse(self, code: str, message: str) -> None:
        self._answer(404, headers={'X-Error-Code': code, 'X-Error-Message': message})

    def _json(self, content: Any) -> None:
        self._answer(200, json.dumps(content).encode(), {'Content-Type': 'application/json'})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        """Files: ``/owner/name/resolve/revision/file`` leads, as large files do there, to another address."""
        path = self.path.partition('?')[0].lstrip('/')
        self.hub.requests.append(f'{self.command} /{path}')
        if path.startswith('cdn/'):
            owner, name, file = path.removeprefix('cdn/').split('/', 2)
            content = self.hub.files[f'{owner}/{name}', file]
            if self.command == 'GET':
                key = (f'{owner}/{name}', file)
                self.hub.downloads[key] = self.hub.downloads.get(key, 0) + 1
            return self._answer(200, content[:len(content) - self.hub.cut])
        if '/resolve/' not in path:
            return self._answer(404)
        repo, _, rest = path.partition('/resolve/')
        revision, _, file = rest.partition('/')
        self.hub.revisions.add(revision)
        if not any(known == repo for known, _ in self.hub.files):
            return self._refuse('RepoNotFound', 'Repository not found')
        if (repo, file) not in self.hub.files:
            return self._refuse('EntryNotFound', 'Entry not found')
        content = self.hub.files[repo, file]
        commit = revision if len(revision) == 40 else COMMIT
        elsewhere = self.hub.url.replace('127.0.0.1', 'localhost')
        self._answer(302, headers={
            'Location': f'{elsewhere}/cdn/{repo}/{file}', 'X-Repo-Commit': commit, 'ETag': '"etag"',
            'X-Linked-Size': str(len(content)), 'X-Linked-Etag': f'"{hashlib.sha256(content).hexdigest()}"'})

    def do_POST(self) -> None:
        """Uploads: a repository is made, files are announced, and come in one commit."""
        body = self.rfile.read(int(self.headers['Content-Length']))
        self.hub.requests.append(f'POST {self.path}')
        if self.headers.get('Authorization') != 'Bearer right':
            return self._answer(401, b'{"error": "Invalid credentials"}', {'Content-Type': 'application/json'})
        if self.path == '/api/repos/create':
            sent = json.loads(body)
            owner = sent.get('organization') or 'me'
            return self._json(dict(url=f'{self.hub.url}/{owner}/{sent["name"]}', id=f'{owner}/{sent["name"]}'))
        if self.path == '/api/validate-yaml':
            return self._json(dict(errors=[], warnings=[]))
        if '/preupload/' in self.path:
            files = json.loads(body)['files']
            return self._json(dict(files=[dict(path=file['path'], uploadMode='regular', shouldIgnore=False)
                                          for file in files]))
        if '/commit/' in self.path:
            repo = self.path.removeprefix('/api/models/').partition('/commit/')[0]
            for line in body.decode().splitlines():
                entry = json.loads(line)
                if entry['key'] == 'file':
                    content = base64.b64decode(entry['value']['content'])
                    self.hub.files[repo, entry['value']['path']] = content
            return self._json(dict(commitUrl=f'{self.hub.url}/{repo}/commit/{COMMIT}', commitOid=COMMIT))
        self._answer(404)
