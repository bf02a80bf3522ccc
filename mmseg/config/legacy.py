"""Everything that older configs say differently, translated in one place when a config is loaded."""
from __future__ import annotations

import logging
from inspect import signature
from typing import Any

from mmseg.errors import ConfigError
from mmseg.models.losses import CrossEntropyLoss

logger = logging.getLogger('mmseg')

MODEL_TYPES = {
    'UniHead': 'DAFormerHead',
    'MultiResEncoderDecoder': 'HRDAEncoderDecoder',
    'MultiResAttentionWrapper': 'HRDAHead',
}
OLD = frozenset({'total_iters', 'fp16', 'default_hooks', 'style_hallucination_hook'})  # sections that are read no more
# Keys of losses in later mmsegmentation versions, with the values that leave them off.
INACTIVE_LOSS_KEYS: dict[str, list[Any]] = dict(
    use_mask=[False], avg_non_ignore=[False], loss_name=['loss_ce', 'loss_dice', 'loss_focal'])
# Keys of the uda section that no longer have an effect, and why.
DROPPED_UDA_KEYS = {
    'imnet_feature_dist_scale_method': "'ratio', the only method that was published, is the only one",
    'print_grad_magnitude': 'optimizer_config=dict(grad_clip=...) logs the gradient norm',
    'share_src_backward': 'the source branch always shares one backward',
    'debug_img_interval': 'log_config.img_interval says it',
    'model': 'the model section says it',
    'max_iters': 'runner.max_iters says it',
}
# Values that JSON and YAML can only write as lists.
TUPLES = frozenset({
    'img_scale', 'crop_size', 'hr_crop_size', 'sync_crop_size', 'size', 'stride', 'ratio_range', 'contrast_range',
    'saturation_range', 'betas'
})
DEFAULT_HOOKS = ("default_hooks: this section of MMEngine's own runner is not read; here checkpoint_config says what "
                 'its checkpoint does, log_config its logger and timer, log_config.img_interval its visualization, '
                 'lr_config its param_scheduler, and evaluation.save_best what its save_best does: move what you '
                 'changed there and remove the section')
STYLE = ('style hallucination (SHADE, the domain generalisation branch of HRDA) is not part of this framework: '
         'remove the key to train without it')


def apply_legacy_fixes(content: dict[str, Any]) -> dict[str, Any]:
    """Translate the merged content of a config, of whatever age, into what this version reads.

    Returns:
        A new dict; ``content`` stays as it is.

    Raises:
        ConfigError: for what has no counterpart here (fp16, default_hooks, style hallucination).
    """
    content = _clean(content)
    _refuse(content)
    if isinstance(content.get('model'), dict):
        _fix_model(content['model'])
    if isinstance(content.get('uda'), dict):
        _fix_uda(content)
    _section(content, 'checkpoint_config').pop('meta', None)  # what the original programs added while running
    iterations = content.pop('total_iters', None)
    if iterations is not None and content.get('runner') is None:
        content['runner'] = dict(type='IterBasedRunner', max_iters=iterations)
    return content


def _clean(value: Any, key: str = '') -> Any:
    """A copy without ``_delete_`` marks that no base consumed, and with tuples where lists were meant as such."""
    if isinstance(value, dict):
        return {name: _clean(entry, name) for name, entry in value.items() if name != '_delete_'}
    if not isinstance(value, (list, tuple)):
        return value
    entries = [_clean(entry, key) for entry in value]
    numbers = bool(entries) and all(isinstance(entry, (int, float)) for entry in entries)
    return tuple(entries) if isinstance(value, tuple) or (key in TUPLES and numbers) else entries


def _section(content: dict[str, Any], *path: str) -> dict[str, Any]:
    """The dict below ``path``; an empty one if there is none. What is no dict there is refused later, by name."""
    found: Any = content
    for name in path:
        found = found.get(name)
        if not isinstance(found, dict):
            return {}
    return found


def _refuse(content: dict[str, Any]) -> None:
    if content.get('fp16') is not None:
        raise ConfigError("fp16: float16 is too narrow for the pseudo-label losses; write amp=dict(dtype='bfloat16') "
                          'for mixed precision', 'fp16', 'fp16')
    if content.get('default_hooks') is not None:
        raise ConfigError(DEFAULT_HOOKS, 'default_hooks', 'default_hooks')
    for section, name in ((content, 'style_hallucination_hook'), (_section(content, 'uda'), 'style_consistency_lambda'),
                          (_section(content, 'model', 'backbone'), 'style_hallucination_cfg')):
        if section.pop(name, None):
            raise ConfigError(f'{name}: {STYLE}', name, name)


def _fix_model(model: dict[str, Any]) -> None:
    _rename(model, 'type')
    _section(model, 'backbone').pop('ema_drop_path_rate', None)
    for name in ('work_dir', 'log_config'):  # the original programs wrote them here at the start of a training
        _section(model, 'train_cfg').pop(name, None)
    auxiliary = model.get('auxiliary_head')
    for head in (model.get('decode_head'), *(auxiliary if isinstance(auxiliary, (list, tuple)) else [auxiliary])):
        if isinstance(head, dict):
            _fix_loss(head)
    head = model.get('decode_head')
    if not isinstance(head, dict):
        return
    for name in ('type', 'single_scale_head'):
        if head.get(name) == 'UniHead':
            _section(head, 'decoder_params', 'fusion_cfg').pop('fusion', None)
        _rename(head, name)


def _fix_loss(head: dict[str, Any]) -> None:
    loss = head.get('loss_decode')
    if isinstance(loss, (list, tuple)):
        entries = [dict(loss_decode=entry) for entry in loss]
        for entry in entries:
            _fix_loss(entry)
        head['loss_decode'] = [entry['loss_decode'] for entry in entries]
    if not isinstance(loss, dict):
        return
    for name, values in INACTIVE_LOSS_KEYS.items():
        if name in loss and loss[name] in values:
            del loss[name]
    if loss.get('type') == 'LogitConstraintLoss':  # of EBDA, where it is plain cross-entropy
        known = signature(CrossEntropyLoss).parameters
        head['loss_decode'] = dict({name: loss[name] for name in loss if name in known}, type='CrossEntropyLoss')


def _rename(section: dict[str, Any], key: str) -> None:
    name = section.get(key)
    if isinstance(name, str):  # anything else is refused later, by name
        section[key] = MODEL_TYPES.get(name, name)


def _fix_uda(content: dict[str, Any]) -> None:
    uda = content['uda']
    if 'debug_img_interval' in uda:
        content['log_config'] = {'img_interval': uda['debug_img_interval'], **_section(content, 'log_config')}
    for name in sorted(DROPPED_UDA_KEYS.keys() & uda.keys()):
        del uda[name]
        logger.info('uda.%s has no effect: %s', name, DROPPED_UDA_KEYS[name])
