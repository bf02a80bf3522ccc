"""The documents as a site: built strictly, loading nothing from elsewhere, with links that lead to the right place."""
from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ADDRESS = 'https://example.org/owner/project'

pytestmark = pytest.mark.skipif(
    any(find_spec(name) is None for name in ('mkdocs', 'material', 'mkdocstrings_handlers')),
    reason="needs the extra 'docs'")


def build(folder: Path, address: str) -> Path:
    environment = {**os.environ, 'REPOSITORY_URL': address, 'NO_MKDOCS_2_WARNING': '1'}
    built = subprocess.run([sys.executable, '-m', 'mkdocs', 'build', '--strict', '--quiet', '--site-dir', str(folder)],
                           cwd=ROOT, env=environment, capture_output=True, text=True)
    assert not built.returncode, built.stderr
    return folder


@pytest.fixture(scope='module')
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp('site'), ADDRESS)


def test_pages_load_nothing_from_elsewhere(site: Path):
    loaded = r'<(?:link|script|img|iframe|source)\b[^>]*?(?:href|src)="((?:https?:)?//[^"]*)"'
    found = {page.name: re.findall(loaded, page.read_text()) for page in site.rglob('*.html')}
    assert len(found) > 25 and not any(found.values())
    assert 'fonts.googleapis' not in ''.join(page.read_text() for page in site.rglob('*.css'))


def test_files_outside_of_the_documents_are_linked_in_the_repository(site: Path):
    page = (site / 'how-to' / 'choose_config.html').read_text()
    assert f'href="{ADDRESS}/blob/main/configs/daformer/cs2acdc_daformer.py"' in page


def test_documents_of_the_root_are_pages(site: Path):
    assert 'href="contributing.html"' in (site / 'index.html').read_text()
    assert 'href="results.html"' in (site / 'start.html').read_text()  # docs/results.md there
    assert 'src="images/demo.png"' in (site / 'start.html').read_text() and (site / 'images' / 'demo.png').is_file()


def test_docstrings_are_shown(site: Path):
    load = (site / 'reference' / 'api.html').read_text()
    assert 'id="mmseg.load"' in load and 'A trained network from its checkpoint alone' in load
    assert not [page.name for page in site.rglob('reference/api*.html')
                if re.search(r':(?:class|func|meth|attr|data):', page.read_text())]


def test_there_is_a_search(site: Path):
    index = (site / 'search' / 'search_index.json').read_text()
    assert 'mmseg.models.uda.objective.Objective' in index and 'rare class sampling' in index.lower()


@pytest.mark.parametrize(('target', 'page', 'expected'), [
    ('../../configs/a.py', 'how-to/train.md', None),
    ('../logs/soak.txt', 'how-to/healthy_run.md', None),
    ('../../LICENSES.md', 'how-to/python.md', '../licences.md'),
    ('reference/cli.md#suites', 'results.md', 'reference/cli.md#suites'),
    ('docs/how-to/train.md', 'start.md', 'how-to/train.md'),
    ('CONTRIBUTING.md', 'start.md', 'contributing.md'),
    ('../README.md#start', 'README.md', 'start.md#start'),
])
def test_where_links_lead(target: str, page: str, expected: str | None):
    from dev.site_links import site_target
    assert site_target(target, page) == expected


def test_without_an_address_links_to_other_files_are_plain_text():
    from types import SimpleNamespace

    from dev.site_links import on_page_markdown
    page = SimpleNamespace(file=SimpleNamespace(src_uri='how-to/train.md'))
    text = 'See [a config](../../configs/a.py), [the page](test.md).\n```\n[x](../../y)\n```\n'
    shown = on_page_markdown(text, page=page, config=SimpleNamespace(repo_url=None))
    assert shown == 'See a config, [the page](test.md).\n```\n[x](../../y)\n```\n'
