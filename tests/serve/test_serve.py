"""The page of ``udaseg serve``: what it answers, what it refuses, and what a person sees in a browser."""
from __future__ import annotations

import base64
import http.client
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import mmseg
from mmseg.apis import load_config
from mmseg.apis.model import Model
from mmseg.cli.serve import name_of, parse_args
from mmseg.config.reading import format_config
from mmseg.errors import DataError
from mmseg.serve.server import FILES_AT_A_TIME, PageServer, is_loopback
from mmseg.serve.viewer import Limits, Viewer
from tests.browser import chromium, watched
from tests.tiny import TinyRun, make_tiny_run

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def run(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    run = make_tiny_run(tmp_path_factory.mktemp('tiny'), teacher=True)
    checkpoint = torch.load(run.checkpoint, weights_only=True)
    checkpoint['meta']['config'] = format_config(load_config(run.config).to_dict())
    torch.save(checkpoint, run.checkpoint)
    return run


@pytest.fixture(scope='module')
def models(run: TinyRun) -> dict[str, Model]:
    return {network: mmseg.load(run.checkpoint, 'cpu', network) for network in ('student', 'teacher')}


def write_video(path: Path, count: int = 5) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 10, (96, 64))
    for index in range(count):
        writer.write(np.full((64, 96, 3), 40 * index, np.uint8))
    writer.release()
    return path


def picture(address: str) -> np.ndarray:
    kind, _, content = address.partition(';base64,')
    with Image.open(io.BytesIO(base64.b64decode(content))) as image:
        assert kind == f'data:image/{image.format.lower()}'
        return np.array(image)


# the answers


def test_an_image_is_answered_as_it_is_predicted(run: TinyRun, models: dict[str, Model]) -> None:
    path = run.image('bonn', 0)
    [answer] = Viewer(models).answers(path, 'a.png')
    assert answer['size'] == [96, 64] and picture(answer['photograph']).shape == (64, 96, 3)
    with Image.open(path) as image:
        assert np.abs(picture(answer['photograph']).astype(int) - np.array(image)).mean() < 12  # a JPEG
    for seen, model in zip(answer['networks'], models.values(), strict=True):
        expected = model(path)
        np.testing.assert_array_equal(picture(seen['ids']), expected.ids)
        assert {model.classes[i]: share for i, share in enumerate(seen['shares']) if share} == expected.shares
        logits = model(model.preprocess(path)).detach()
        confidence = logits.softmax(1).amax(1)[0].numpy()
        np.testing.assert_allclose(picture(seen['confidence']) / 255, confidence, atol=0.5 / 31 + 1 / 255)
        assert seen['sure'] == pytest.approx(confidence.mean(), abs=1e-4)


def test_large_images_are_shown_smaller_and_counted_whole(models: dict[str, Model], tmp_path: Path) -> None:
    path = tmp_path / 'wide.png'
    Image.new('RGB', (2100, 1400)).save(path)
    [answer] = Viewer(dict(student=models['student'])).answers(path, path.name)
    [seen] = answer['networks']
    assert answer['size'] == [2100, 1400] and picture(seen['ids']).shape == (467, 700)
    assert picture(answer['photograph']).shape == (467, 700, 3) and sum(seen['shares']) == pytest.approx(1)


def test_a_video_is_answered_frame_by_frame(models: dict[str, Model], tmp_path: Path) -> None:
    path = write_video(tmp_path / 'drive.avi')
    *frames, last = Viewer(models, Limits(frames=3)).answers(path, 'drive.avi')
    assert [int(picture(frame['photograph']).mean().round(-1)) for frame in frames] == [0, 40, 80]
    assert [(frame['rate'], frame['count']) for frame in frames] == [(10, 3)] * 3
    assert 'its first 3 frames are shown' in last['note'] and len(last) == 1
    assert len(list(Viewer(models, Limits(frames=5)).answers(path, 'drive.avi'))) == 5


def test_what_is_turned_for_display_is_said(models: dict[str, Model], tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.new('RGB', (96, 64)).save(tmp_path / 'phone.jpg', exif=exif)
    [answer] = Viewer(models).answers(tmp_path / 'phone.jpg', 'phone.jpg')
    assert 'turn the image' in answer['note']


@pytest.mark.parametrize('name, content, message', [
    ('notes.txt', b'words', 'notes.txt is neither image nor video by its name'),
    ('a.png', b'words', 'image street: the file is damaged, incomplete or of a kind that is not read'),
    ('a.mp4', b'words', 'video street: it is damaged, or OpenCV lacks its codec'),
])
def test_what_is_no_image_is_refused_by_its_own_name(models: dict[str, Model], tmp_path: Path, name: str,
                                                     content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(Viewer(models).answers(path, name if name == 'notes.txt' else 'street'))


def test_large_files_are_refused_before_they_are_decoded(models: dict[str, Model], tmp_path: Path,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    viewer = Viewer(models, Limits(megapixels=1))
    monkeypatch.setattr(viewer, '_answer', lambda image: pytest.fail('it has been decoded'))
    Image.new('1', (1001, 1000)).save(tmp_path / 'a.png')
    writer = cv2.VideoWriter(str(tmp_path / 'a.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 10, (1024, 1000))
    writer.write(np.zeros((1000, 1024, 3), np.uint8))
    writer.release()
    for name, width in (('a.png', 1001), ('a.avi', 1024)):
        with pytest.raises(DataError, match=f'^{name} has {width} x 1000 pixels.* another --max-megapixels'):
            list(viewer.answers(tmp_path / name, name))


@pytest.mark.parametrize('text', ['ffconcat version 1.0\nfile secret.avi\n',
                                  '#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nsecret.avi\n#EXT-X-ENDLIST\n'])
def test_a_video_cannot_name_another_file(models: dict[str, Model], tmp_path: Path, text: str) -> None:
    write_video(tmp_path / 'secret.avi')
    (tmp_path / 'list.mp4').write_text(text)
    with pytest.raises(DataError, match='damaged'):
        list(Viewer(models).answers(tmp_path / 'list.mp4', 'list.mp4'))


def test_only_networks_with_the_same_classes_are_compared(models: dict[str, Model], run: TinyRun) -> None:
    other = mmseg.load(run.checkpoint, 'cpu')
    other.network.CLASSES = ('street', *other.classes[1:])
    with pytest.raises(DataError, match='a and b have different classes.*road, .*street, '):
        Viewer(dict(a=models['student'], b=other))


# over HTTP


@contextmanager
def serving(models: dict[str, Model], limits: Limits = Limits()) -> Iterator[PageServer]:  # noqa: B008 (frozen)
    with PageServer(Viewer(models, limits)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs=dict(poll_interval=0.05))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope='module')
def server(models: dict[str, Model]) -> Iterator[PageServer]:
    with serving(models, Limits(megabytes=1, frames=4)) as server:
        yield server


def ask(server: PageServer, method: str, path: str, body: bytes | None = None, **headers: str
        ) -> tuple[int, bytes, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=60)
    connection.putrequest(method, path, skip_host='Host' in headers)
    if body is not None:
        headers.setdefault('Content-Length', str(len(body)))
    for name, value in headers.items():
        connection.putheader(name.replace('_', '-'), value)
    connection.endheaders(body)
    with connection.getresponse() as answer:
        return answer.status, answer.read(), answer.headers


def error(answer: tuple[int, bytes, Any]) -> tuple[int, str]:
    return answer[0], json.loads(answer[1])['error']


def test_the_page_loads_nothing_and_is_framed_by_nobody(server: PageServer) -> None:
    status, content, headers = ask(server, 'GET', '/')
    assert status == 200 and headers['Content-Type'] == 'text/html; charset=utf-8'
    policy = headers['Content-Security-Policy']
    assert policy.startswith("default-src 'none'") and "frame-ancestors 'none'" in policy
    assert b'http:' not in content and b'https:' not in content and b'src=' not in content


@pytest.mark.parametrize('path', [
    '/etc/passwd', '//etc/passwd', '/../../etc/passwd', '/%2e%2e/%2e%2e/etc/passwd', '/file=/etc/passwd',
    '/gradio_api/file=/etc/passwd', '/?file=/etc/passwd', 'file:///etc/passwd', '/page.js',
    '/predict?name=/etc/passwd'])
def test_no_file_of_the_machine_can_be_read(server: PageServer, path: str) -> None:
    assert error(ask(server, 'GET', path)) == (404, 'there is nothing but the page')
    if not path.startswith('/predict'):
        assert error(ask(server, 'POST', path, b'')) == (404, 'files go to /predict')


@pytest.mark.parametrize('name', ['../../street.png', '/etc/street.png', 'street.PNG', 'a%00b.png', '%2e%2e%2fa.png'])
def test_files_go_to_a_passing_folder_whatever_they_are_called(server: PageServer, run: TinyRun, name: str) -> None:
    folder = Path(server.uploads.name)
    status, content, _ = ask(server, 'POST', f'/predict?name={name}', run.image('bonn', 0).read_bytes())
    [answer] = map(json.loads, content.splitlines())
    assert status == 200 and picture(answer['networks'][0]['ids']).shape == (64, 96)
    assert folder.is_dir() and not list(folder.iterdir())


def test_a_video_comes_as_lines(server: PageServer, tmp_path: Path) -> None:
    content = write_video(tmp_path / 'drive.avi', 6).read_bytes()
    status, lines, _ = ask(server, 'POST', '/predict?name=drive.avi', content)
    *frames, last = map(json.loads, lines.splitlines())
    assert status == 200 and len(frames) == 4 and list(last) == ['note']


def test_messages_have_a_status(server: PageServer) -> None:
    for name in ('notes.txt', ''):
        status, message = error(ask(server, 'POST', f'/predict?name={name}', b'words'))
        assert status == 422 and message.startswith(f'{name or "the file"} is neither image nor video')
    status, message = error(ask(server, 'POST', '/predict?name=a.png', b'words'))
    assert status == 422 and message.startswith('image a.png: the file is damaged') and 'upload' not in message
    status, message = error(ask(server, 'POST', '/predict?name=a.png', Content_Length='1500000'))
    assert (status, message[:53]) == (413, 'the file has 1.5 MB, the limit of this page is 1: mak')
    assert ask(server, 'POST', '/predict?name=a.png')[0] == 411


def test_pages_of_others_are_refused(server: PageServer, run: TinyRun) -> None:
    content = run.image('bonn', 0).read_bytes()
    own = server.address.removeprefix('http://')
    for host, origin, status in ((own, f'http://{own}', 200), ('localhost:9000', 'http://localhost:9000', 200),
                                 (own, 'http://evil.example', 403), (own, 'null', 403), ('evil.example', '', 403)):
        headers = dict(Host=host, **(dict(Origin=origin) if origin else {}))
        assert ask(server, 'POST', '/predict?name=a.png', content, **headers)[0] == status, (host, origin)
    assert ask(server, 'GET', '/', Host='evil.example')[0] == 403


def test_too_many_at_a_time_are_asked_to_come_again(server: PageServer) -> None:
    with ExitStack() as others:
        for _ in range(FILES_AT_A_TIME):
            others.enter_context(server.places)
        assert error(ask(server, 'POST', '/predict?name=a.png', b'x'))[0] == 503
    assert error(ask(server, 'POST', '/predict?name=a.png', b'x'))[0] == 422


def test_uploads_are_gone_at_the_end(models: dict[str, Model], run: TinyRun) -> None:
    with serving(models) as server:
        folder = Path(server.uploads.name)
        assert ask(server, 'POST', '/predict?name=a.png', run.image('bonn', 0).read_bytes())[0] == 200
        (folder / 'left').touch()
    assert not folder.exists()


def test_a_taken_port_is_named(server: PageServer, models: dict[str, Model]) -> None:
    port = server.server_address[1]
    with pytest.raises(OSError, match=f'cannot listen at 127.0.0.1, port {port}: .*--port'):
        PageServer(Viewer(models), port=port)


# the command


def test_arguments() -> None:
    alone, both = parse_args(['run']), parse_args(['a.py', 'run', '--options', 'seed=1'])
    assert (alone.config, alone.checkpoint, alone.host, alone.port) == (None, 'run', '127.0.0.1', 7860)
    assert (both.config, both.checkpoint) == ('a.py', 'run')
    for wrong in (['a', 'b', 'c'], ['run', '--options', 'seed=1'], ['run', '--max-frames', '0']):
        with pytest.raises(SystemExit):
            parse_args(wrong)
    assert name_of('hf:owner/name') == 'hf:owner/name' and name_of('runs/a/latest.pth') == 'a/latest.pth'
    assert list(map(is_loopback, ('localhost', '127.0.0.1', '::1', '0.0.0.0', '192.168.0.2', 'box'))) == [
        True, True, True, False, False, False]


@pytest.mark.parametrize('host, how, status', [('127.0.0.1', signal.SIGINT, 130), ('0.0.0.0', signal.SIGTERM, 143)])
def test_the_command_from_start_to_end(run: TinyRun, tmp_path: Path, host: str, how: int, status: int) -> None:
    command = [sys.executable, '-m', 'mmseg', 'serve', str(run.config), str(run.checkpoint), '--compare',
               str(run.checkpoint), '--host', host, '--port', '0', '--device', 'cpu']
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, 'TMPDIR': str(tmp_path)}, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)) as program:
        line = program.stdout.readline()
        assert line.startswith(f'run_5/latest.pth and run_5/latest.pth (2) at http://{host}:'), program.stderr.read()
        assert list(tmp_path.glob('udaseg_serve_*'))
        program.send_signal(how)
        assert program.wait(120) == status
        said = program.stderr.read()
        assert ('without a password' in said) == (host == '0.0.0.0') and 'Traceback' not in said
    assert not list(tmp_path.glob('udaseg_serve_*'))


# in a browser


@pytest.fixture(scope='module')
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def view(browser: Any) -> Iterator[Any]:
    """A page of the browser that complains of nothing, and asks nobody but the server it has opened."""
    with watched(browser, 'http://127.0.0.1:', 'data:') as (opened, complaints):
        yield opened
    assert [text for text in complaints if '422' not in text] == []  # Chromium reports refused files by itself


def show(view: Any, server: PageServer, path: Path) -> None:
    view.goto(server.address)
    view.set_input_files('#file', path)
    view.wait_for_selector('#panels[data-frame]')
    view.wait_for_selector('#stop', state='hidden')


def tell(view: Any, title: str) -> str:
    """What the page says of the middle of a panel."""
    box = view.locator('.panel').filter(has_text=title).first.locator('canvas').first.bounding_box()
    view.mouse.move(box['x'] + box['width'] / 2, box['y'] + box['height'] / 2)
    return view.locator('#tip').inner_text()


def test_an_image_in_the_browser(view: Any, models: dict[str, Model], run: TinyRun) -> None:
    path, model = run.image('bonn', 0), models['student']
    with serving(dict(student=model)) as server:
        show(view, server, path)
        expected = model(path)
        name = model.classes[expected.ids[32, 48]]
        assert tell(view, 'prediction').startswith(f'{name}, ')
        drawn = view.locator('.over').evaluate(
            'canvas => Array.from(canvas.getContext("2d").getImageData(48, 32, 1, 1).data).slice(0, 3)')
        assert tuple(drawn) == model.palette[expected.ids[32, 48]]
        view.locator('#opacity').fill('80')
        assert view.locator('.over').evaluate('canvas => canvas.style.opacity') == '0.8'
        rows = [row.split() for row in view.locator('#shares tbody').inner_text().splitlines() if row.strip()]
        largest, share = next(iter(expected.shares.items()))
        assert [word for row in rows for word in row][:len(largest.split()) + 1] == [*largest.split(),
                                                                                    f'{100 * share:.1f}']
        assert 'bonn_000000_leftImg8bit.png: 96 x 64 pixels' in view.locator('#state').inner_text()
        assert view.locator('#legend .chip').count() == 19


def test_two_networks_and_a_video_in_the_browser(view: Any, server: PageServer, tmp_path: Path) -> None:
    show(view, server, write_video(tmp_path / 'drive.avi', 6))
    view.wait_for_selector('#panels[data-frame="3"]')
    assert 'its first 4 frames are shown' in view.locator('#state').inner_text()
    assert [line.partition(':')[0] for line in tell(view, 'they differ').split('\n')] == ['student', 'teacher']
    view.locator('#frame').fill('1')
    view.wait_for_selector('#panels[data-frame="1"]')
    assert view.locator('#number').inner_text() == '2 of 4'
    view.get_by_role('button', name='play').click()
    view.wait_for_selector('#panels[data-frame="3"]')
    assert view.locator('#panels canvas:not(.over)').count() == 6


def test_mistakes_in_the_browser(view: Any, server: PageServer, run: TinyRun, tmp_path: Path) -> None:
    for name, content, message in (('notes.txt', b'words', 'notes.txt is neither image nor video by its name'),
                                   ('words.png', b'words', 'image words.png: the file is damaged'),
                                   ('large.png', bytes(1100000), 'large.png has 1.1 MB, the limit of this page is 1')):
        (tmp_path / name).write_bytes(content)
        view.goto(server.address)
        view.set_input_files('#file', tmp_path / name)
        view.wait_for_selector('#error:not([hidden])')
        assert view.locator('#error').inner_text().startswith(message)
        assert view.locator('#panels').is_hidden()
    view.set_input_files('#file', run.image('bonn', 1))  # and on it goes
    view.wait_for_selector('#panels[data-frame]')
    assert view.locator('#error').is_hidden()
