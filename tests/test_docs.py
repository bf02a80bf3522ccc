"""What the documents promise: links, files, flags, config keys, and whatever the original projects' READMEs name."""
from __future__ import annotations

import re
import runpy
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmseg.cli import COMMANDS
from mmseg.config.schema import SECTIONS, TOP_LEVEL
from mmseg.models.uda import DACS, AdvSeg, MinEnt
from mmseg.registry import DATASETS, OBJECTIVES, PIPELINES

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob('*.md'), *ROOT.glob('docs/**/*.md'),
                *(ROOT / name / 'README.md' for name in ('data', 'embedding_cache', 'pretrained', 'work_dirs'))])
MIGRATION = (ROOT / 'docs' / 'migration.md').read_text()
CLI = (ROOT / 'docs' / 'reference' / 'cli.md').read_text()

# What the READMEs of DAFormer/EBDA, HRDA, MIC, MRM and DIDA name: files, folders, flags and checkpoints.
PROMISED = """
README.md README_zh.md LICENSE LICENSES.md requirements.txt run_experiments.py experiments.py run_exp.sh run_config.sh
test.sh demo.sh create_buffer.py embedding_cache demo/demo.png demo/image_demo.py tools/download_checkpoints.sh
tools/convert_datasets/gta.py tools/convert_datasets/cityscapes.py tools/convert_datasets/synthia.py tools/test.py
configs/daformer/gta2cs_uda_warm_fdthings_rcs_croppl_a999_daformer_mitb5_s0.py configs/hrda/gtaHR2csHR_hrda.py
configs/mic/gtaHR2csHR_mic_hrda.py configs/gta2cs_dacs_mrm_dlv2.py configs/syn2cs_dacs_mrm_dlv2.py configs/generated/
mmseg/models/uda/dacs.py mmseg/models/uda/masking_consistency_module.py mmseg/models/utils/masking_transforms.py
mmseg/models/Rebuilder.py mmseg/models/segmentors/encoder_decoder.py mmseg/models/segmentors/hrda_encoder_decoder.py
mmseg/models/decode_heads/hrda_head.py mmseg/models/decode_heads/daformer_head.py mmseg/datasets/uda_dataset.py
mmseg/models/backbones/mix_transformer.py pretrained/ work_dirs/ data/ pretrained/mit_b5.pth preds pre_log.out
resources/overview.jpg resources/hrda_overview.png resources/uda_over_time_hrda.png resources/demo.gif
resources/color_palette.png 211108_1622_gta2cs_daformer_s0_7f24c gtaHR2csHR_hrda_246ef mmcv-full
DIDA_gta2cs/221213_1011_gta2cs_dacs_a999_fdthings_rcs001_cpl_daformer_sepaspp_mitb5_poly10warm_s0_6e7fa
--config --exp --nproc --test-set --format-only --eval-option --resume-from --load-from --options --eval --show-dir
--opacity --hrda-out rsync
""".split()
PUBLISHED = """
1pG3kDClZDGwp1vSTEXmTchkGHmnLQNdP 1V9EpoTePjGq33B8MfombxEEcq9a2rBEt 16RSBkzJbGprWr04LjyNleqRzRZgCaEBn
1_VXKDhnp4x4sslBj5B8tqqBJXeOuI9hS 1mw8mTui-I-mvs2vo0UN_xs_fQh7AMpHm 1fpAsxbhlIxzPhiIfm0r8rAoTjK4PZb_V
1p_Ytxmj8EckYsq6SdZNZJNC3sgxVRn2d 1-Ed0Z2APrhIdsuQTOWXNlZwJJ9Yr2-Vu 10RNOAyUY5nYKzIIbNTie458r9etzfvtc
1HXIwLULUsspBG4U1UAd7OQnDq1G33aTA 1O6n1HearrXHZTHxNRWp8HCMyqbulKcSW
""".split()


def fenced(page: Path, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    return re.findall(rf'^```{language}\n(.*?)^```', page.read_text(), re.MULTILINE | re.DOTALL)


def links(page: Path) -> Iterator[str]:
    text = re.sub(r'^```.*?^```', '', page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r'\]\(([^)\s]+)\)', text):
        if not target.startswith(('http://', 'https://', 'mailto:', '#')):
            yield target.partition('#')[0]


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_resolve(page: Path):
    broken = [target for target in links(page) if not (page.parent / target).exists()]
    assert not broken, f'{page.relative_to(ROOT)} links to {broken}'


def test_every_page_is_listed():
    listed = {(ROOT / 'docs' / target).resolve() for target in links(ROOT / 'docs' / 'README.md')}
    missing = [page.name for page in (ROOT / 'docs').rglob('*.md')
               if page.resolve() not in listed and page.name != 'README.md']
    assert not missing, f'docs/README.md does not list {missing}'


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_name_files_that_exist(page: Path):
    commands = '\n'.join(fenced(page, 'sh')) + '\n' + '\n'.join(re.findall(r'`([^`\n]+)`', page.read_text()))
    named = re.findall(r'(?:^|\s)(?:python|sh) (?!-)([\w./-]+\.(?:py|sh))', commands)
    modules = re.findall(r'python -m ((?:tools|dev|demo)\.[\w.]+)', commands)
    configs = re.findall(r'--config (configs/[\w./-]+)', commands)
    paths = [path for path in (*named, *configs) if not path.startswith('configs/mine')]
    missing = [path for path in paths if not (ROOT / path).exists()]
    missing += [name for name in modules if not any(
        (ROOT / (name.replace('.', '/') + end)).exists() for end in ('.py', '/__main__.py'))]
    assert not missing, f'{page.relative_to(ROOT)} calls {missing}'


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_of_the_program_exist(page: Path):
    named = set(re.findall(r'(?:^|`)udaseg ([a-z][\w-]*)', page.read_text(), re.MULTILINE))
    assert named <= set(COMMANDS), f'{page.relative_to(ROOT)} calls {named - set(COMMANDS)}'


def test_every_command_of_the_program_is_on_its_page():
    assert all(f'`udaseg {name}' in CLI for name in COMMANDS)


@pytest.mark.parametrize('name', PROMISED)
def test_what_the_original_readmes_name_is_in_the_migration_guide(name: str):
    assert name in MIGRATION or (ROOT / name).exists()


def rows_about_files() -> Iterator[tuple[list[str], str]]:
    """Rows of the migration guide whose left cell is nothing but names of files: the names and the right cell."""
    for left, right in re.findall(r'^\| (.+?) \| (.+?) \|$', MIGRATION, re.MULTILINE):
        if re.fullmatch(r'(`[\w/.-]+\.(py|sh|md|png)`(, )?)+', left):
            yield re.findall(r'`([^`]+)`', left), right


def test_the_migration_guide_is_true_about_what_is_the_same_and_what_is_planned():
    checked = 0
    for names, answer in rows_about_files():
        if answer.startswith('the same'):
            assert all((ROOT / name).exists() for name in names), (names, answer)
        if answer.startswith('*planned*'):
            assert not any((ROOT / name).exists() for name in names), (names, answer)
        checked += 1
    assert checked > 15


@pytest.mark.parametrize('address', PUBLISHED)
def test_published_checkpoints_are_in_zoo_and_download_script(address: str):
    assert address in (ROOT / 'docs' / 'model_zoo.md').read_text()
    assert address in (ROOT / 'tools' / 'download_checkpoints.sh').read_text()


def test_commands_are_called_in_one_way():
    """As modules, although the files work as well."""
    files = subprocess.run(['git', 'ls-files', '*.md', '*.py', '*.sh', '*.txt', 'Makefile'], cwd=ROOT, text=True,
                           capture_output=True, check=True).stdout.split()
    found = {file: re.findall(r'python3? +(?:tools|dev|demo)/[a-z]\S*', (ROOT / file).read_text(encoding='utf-8'))
             for file in files if not file.startswith(('docs/logs/', 'tests/'))}
    assert len(found) > 100 and not any(found.values()), {file: calls for file, calls in found.items() if calls}


def flags_of(program: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> set[str]:
    """The options that a program's help shows; an old spelling that is accepted silently is none of them."""
    monkeypatch.setattr('sys.argv', [str(program), '--help'])
    monkeypatch.setenv('COLUMNS', '120')
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(program), run_name='__main__')
    assert not end.value.code
    options = [line.strip().split('  ')[0] for line in capsys.readouterr().out.splitlines() if line.startswith('  -')]
    return {flag for option in options for flag in re.findall(r'(?<!\S)--?[a-z][\w-]*', option)} - {'-h', '--help'}


def documented_flags(heading: str) -> set[str]:
    match = re.search(rf'^##+ {re.escape(heading)}\n(.*?)(?=^##|\Z)', CLI, re.MULTILINE | re.DOTALL)
    assert match, f'docs/reference/cli.md has no section {heading}'
    cells = ' '.join(line.split('|')[1] for line in match[1].splitlines() if line.startswith('|'))
    return set(re.findall(r'`(--?[\w-]+)`', cells))


PROGRAMS = [path for pattern in ('run_experiments.py', 'create_buffer.py', 'tools/*.py', 'tools/*/__main__.py',
                                 'demo/*.py', 'dev/*.py')
            for path in sorted(ROOT.glob(pattern)) if "if __name__ == '__main__':" in path.read_text()]


@pytest.mark.parametrize('program', PROGRAMS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_flags_of_programs_are_those_of_the_reference(program: Path, monkeypatch, capsys):
    heading = program.relative_to(ROOT).as_posix().removesuffix('/__main__.py')
    assert documented_flags(heading) == flags_of(program, monkeypatch, capsys)


@pytest.mark.parametrize('program', sorted(ROOT.glob('tools/convert_datasets/*.py')), ids=lambda path: path.stem)
def test_flags_of_converters_are_those_of_the_reference(program: Path, monkeypatch, capsys):
    assert documented_flags('tools/convert_datasets') == flags_of(program, monkeypatch, capsys)


def test_config_keys_are_those_of_the_reference():
    text = (ROOT / 'docs' / 'reference' / 'config.md').read_text()
    named = re.findall(r'`[^`\n]+`|^## .*', text, re.MULTILINE)  # section titles are keys, too
    words = set(re.findall(r'\w+', ' '.join(named)))
    types = {*PIPELINES.module_dict, *DATASETS.module_dict}
    hosts = {key for host in (DACS, AdvSeg, MinEnt) for key in host.config_keys()}
    keys = {*types, *TOP_LEVEL, *hosts, *(key for section in SECTIONS.values() for key in section)}
    assert keys <= words, f'not documented: {sorted(keys - words)}'
    table = re.search(r'^## uda\n(.*?)^## ', text, re.MULTILINE | re.DOTALL)[1]
    rows = re.findall(r'^\| (`[^|]+`) \|', table, re.MULTILINE)
    documented = {key for row in rows for key in re.findall(r'`(\w+)`', row)}
    assert documented <= hosts, f'unknown to the program: {sorted(documented - hosts)}'


def test_the_example_of_a_method_works():
    [objective] = [code for code in fenced(ROOT / 'docs' / 'architecture.md', 'python') if 'Objective' in code]
    from mmseg.models.uda import Objective
    try:
        exec(objective, {'OBJECTIVES': OBJECTIVES, 'Objective': Objective})
        cls = OBJECTIVES.get('MyIdea')
        assert 'my_idea_weight' in DACS.config_keys()
        assert cls.from_config(dict(my_idea_weight=0), None) is None
        assert cls.from_config(dict(my_idea_weight=0.1), None).weight == 0.1
    finally:
        OBJECTIVES.module_dict.pop('MyIdea', None)


def prose(path: Path) -> Iterator[str]:
    """Lines outside of code blocks, tables, HTML and headings."""
    code = False
    for line in path.read_text(encoding='utf-8').splitlines():
        code ^= line.lstrip().startswith('```')
        if not code and not line.lstrip().startswith(('|', '<', '#', '```')):
            yield line


@pytest.mark.parametrize('page', [
    page for page in PAGES if page.name != 'README_zh.md' and 'logs' not in page.parts],
    ids=lambda page: page.relative_to(ROOT).as_posix())
def test_text_is_wrapped_at_100_columns(page: Path) -> None:
    assert not [line for line in prose(page) if len(line) > 100]
