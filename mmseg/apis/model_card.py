"""The card of a published network: what it is, how well it does, on which data, under which terms, whom to cite."""
from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mmseg.errors import LogError
from mmseg.report.logs import read_log
from mmseg.utils import markdown
from mmseg.utils.config_text import value_at

if TYPE_CHECKING:
    from mmseg.apis.model import Model

Scores = Mapping[str, float]
NVIDIA = "The encoder started from NVIDIA's ImageNet weights of MiT, which are for research and evaluation only."
UNKNOWN = 'Not stated: ask whoever published this. Data sets and ImageNet weights have terms of their own.'
PAPERS = {
    'DACS': 'Tranheden, Olsson, Pinto, Svensson: DACS: Domain Adaptation via Cross-domain Mixed Sampling. WACV 2021',
    'DAFormer': 'Hoyer, Dai, Van Gool: DAFormer: Improving Network Architectures and Training Strategies for '
                'Domain-Adaptive Semantic Segmentation. CVPR 2022',
    'HRDA': 'Hoyer, Dai, Van Gool: HRDA: Context-Aware High-Resolution Domain-Adaptive Semantic Segmentation. '
            'ECCV 2022',
    'MIC': 'Hoyer, Dai, Wang, Van Gool: MIC: Masked Image Consistency for Context-Enhanced Domain Adaptation. '
           'CVPR 2023',
    'MRM': 'Zhou, Zhou, Xian, Zhai, Wu, Ma: Masked Representation Modeling for Domain-Adaptive Segmentation',
    'EBDA': 'Entropy Balancing Strategy for Domain Adaptive Semantic Segmentation',
    'DIDA': 'Yao, Li: Dual-level Interaction for Domain Adaptive Semantic Segmentation. UNCV workshop at ICCV 2023',
    'SegFormer': 'Xie, Wang, Yu, Anandkumar, Alvarez, Luo: SegFormer: Simple and Efficient Design for Semantic '
                 'Segmentation with Transformers. NeurIPS 2021',
}


def methods_of(config: Mapping[str, Any]) -> list[str]:
    """Names of the published methods that a config trains; [] without adaptation."""
    uda = config.get('uda') or {}
    signs = {
        'DACS': uda.get('type') == 'DACS', 'DAFormer': uda.get('imnet_feature_dist_lambda'),
        'HRDA': str(value_at(config, 'model.type')).startswith('HRDA'), 'MIC': uda.get('mask_mode'),
        'MRM': uda.get('mrm'), 'EBDA': uda.get('entropy_balance'), 'DIDA': uda.get('instance_bank'),
    }
    return [name for name, sign in signs.items() if sign] if uda else []


def model_card(model: Model, scores: Scores | None = None, licence: str | None = None, repo: str | None = None) -> str:
    """The card in Markdown, with the Hub's header.

    Args:
        scores: 0 to 1, by name as :func:`mmseg.evaluate` gives them; None: those that the run's logs have for the
            checkpoint.
        licence: as the Hub names it; None: what follows from the encoder's weights, if anything does.
        repo: ``owner/name`` on the Hub; None: not published there.
    """
    config = model.facts.get('config') or {}
    scores = scores if scores is not None else _logged(model)
    parts = [_header(config, scores, licence), f'# {(repo or "A segmentation network").rpartition("/")[2]}',
             _what(model, config), '## Use', _use(repo), '## Scores', _scores(scores), '## Licence',
             f'{licence}.' if licence else NVIDIA if _has_mit(config) else UNKNOWN, '## Cite', _cite(config)]
    return '\n\n'.join(parts) + '\n'


def _logged(model: Model) -> dict[str, float]:
    """The student's scores at the checkpoint's iteration, if the run's logs have them."""
    try:
        found = read_log(model.run).val if model.run is not None else {}
    except LogError:
        found = {}
    scores = found.get(model.facts.get('iter', -1), {})
    return {name.removeprefix('student.'): value for name, value in scores.items()}


def _has_mit(config: Mapping[str, Any]) -> bool:
    kind = str(value_at(config, 'model.backbone.type'))
    return kind.startswith(('mit_b', 'MixVisionTransformer')) and bool(value_at(config, 'model.pretrained'))


def _data(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What the data was for, and which class read it: more than that a config does not know for sure."""
    train = value_at(config, 'data.train')
    for key, role in (('source', 'labelled source'), ('target', 'unlabelled target'), ('', 'training')):
        kind = value_at(train, f'{key}.type' if key else 'type')
        if isinstance(kind, str) and kind not in ('UDADataset', 'MultiSource'):
            yield role, kind
    kind = value_at(config, 'data.test.type')
    if isinstance(kind, str):
        yield 'evaluation', kind


def _header(config: Mapping[str, Any], scores: Scores, licence: str | None) -> str:
    """YAML between lines of dashes; JSON is YAML, too, and quotes whatever needs it."""
    entries: dict[str, Any] = dict(
        pipeline_tag='image-segmentation', tags=['semantic-segmentation', 'domain-adaptation', 'mmseg'])
    if licence:
        entries['license'] = licence
    elif _has_mit(config):
        entries |= dict(license='other', license_name='nvidia-source-code-license')
    if 'mIoU' in scores:
        kind = dict(_data(config)).get('evaluation', 'unknown')
        data = dict(name=f'data read by {kind}', type=kind.lower())
        result = dict(task=dict(type='image-segmentation'), dataset=data,
                      metrics=[dict(type='mean_iou', value=round(float(scores['mIoU']), 4))])
        entries['model-index'] = [dict(name='segmentation network', results=[result])]
    return '\n'.join(['---', *(f'{key}: {json.dumps(value)}' for key, value in entries.items()), '---'])


def _what(model: Model, config: Mapping[str, Any]) -> str:
    parameters = sum(p.numel() for p in model.network.parameters()) / 1e6
    network = value_at(config, 'model.backbone.model_name') or value_at(config, 'model.backbone.type')
    facts = [f'encoder {network}, decoder {value_at(config, "model.decode_head.type")}, {parameters:.1f} M parameters',
             f'method: {", ".join(methods_of(config)) or "supervised training, no adaptation"}',
             *(f'{role}: read by {kind}' for role, kind in _data(config)),
             f'classes: {", ".join(model.classes)}']
    length = value_at(config, 'runner.max_iters')
    if 'iter' in model.facts:
        facts.append(f'trained for {model.facts["iter"]} iterations' + (f' of {length}' if length else '')
                     + (f', seed {model.facts["seed"]}' if 'seed' in model.facts else ''))
    return '\n'.join(f'- {fact}' for fact in facts)


def _use(repo: str | None) -> str:
    return (f"```python\nimport mmseg\n\nmodel = mmseg.load({f'hf:{repo}' if repo else 'folder'!r})\n"
            "prediction = model('street.png')\nprediction.save('street_pred.png')\n```")


def _scores(scores: Scores) -> str:
    """In percent; the classes below the means, but for those that did not occur."""
    rows = [[name.removeprefix('IoU.'), f'{100 * value:.1f}'] for name, value in scores.items()
            if (name in ('mIoU', 'mAcc', 'aAcc') or name.startswith('IoU.')) and math.isfinite(value)]
    return markdown.table(['IoU of class, or mean', '%'], rows).strip() if rows else 'Not measured.'


def _cite(config: Mapping[str, Any]) -> str:
    names = methods_of(config)
    if 'mit' in str(value_at(config, 'model.backbone.type')).lower():
        names.append('SegFormer')
    return '\n'.join(f'- {PAPERS[name]}' for name in names) or 'No paper that this program knows of.'
