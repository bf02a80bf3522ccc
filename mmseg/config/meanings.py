"""What the keys of the sections mean, for docs/reference/config.md; what a class takes, its docstring explains."""
from __future__ import annotations

from typing import NamedTuple


class Meaning(NamedTuple):
    """Of a key.

    Attributes:
        text: the explanation, in Markdown.
        default: what holds without the key, in Markdown; None: nothing does, or the text says it.
    """
    text: str
    default: str | None = None


_WITHOUT_EFFECT = 'accepted, without effect'
# By section ('the rest' is the top level) and key; a test compares them with the sections, and defaults with a runner.
MEANINGS: dict[str, dict[str, Meaning]] = {
    'model.test_cfg': dict(
        mode=Meaning('predict images as a whole, as without the section, or in sliding windows'),
        crop_size=Meaning('(height, width) of the windows in pixels'),
        stride=Meaning('(height, width) from one window to the next, at most `crop_size`'),
        batched_slide=Meaning('predict all windows of an image as one batch', '`False`')),
    'data': dict(
        samples_per_gpu=Meaning('batch size: so many source and as many target images', '`2`'),
        workers_per_gpu=Meaning('loader processes, at most 256; 0 loads in the training process. Changes speed, never '
                                'results', '`2`'),
        persistent_workers=Meaning(_WITHOUT_EFFECT),
        pin_memory=Meaning('copy batches to memory from which a GPU reads faster', '`True` on a GPU'),
        train=Meaning('a pair of source and target (`UDADataset`, `MultiSource`), or any labelled data set for plain '
                      'training; a list is concatenated'),
        val=Meaning('for the evaluation while training'),
        test=Meaning('for `python -m tools.test`')),
    'optimizer': dict(
        type=Meaning('any optimizer of `torch.optim`; the other keys are its arguments (`weight_decay`, `momentum`, '
                     '...)'),
        lr=Meaning('learning rate; `lr_config` lets it change'),
        betas=Meaning('of Adam and its relatives'),
        paramwise_cfg=Meaning('`dict(custom_keys=dict(head=dict(lr_mult=10.0), norm=dict(decay_mult=0.0)))`: of the '
                              "keys that occur in a parameter's dotted name, the longest decides alone", '`None`')),
    'optimizer_config': dict(
        grad_clip=Meaning('longest gradient (`max_norm`), and the norm that measures it (`norm_type`, 2)', '`None`'),
        accumulate=Meaning('batches per iteration, whose gradients are averaged '
                           '([small cards](../how-to/small_cards.md))', '`1`')),
    'lr_config': dict(
        policy=Meaning('how the rate falls: not at all, as `(1 - t / max_iters) ** power`, or in steps'),
        power=Meaning("of `'poly'`", '`1.0`'),
        min_lr=Meaning("of `'poly'` and `'step'`: where the rate ends", '`0.0`'),
        step=Meaning("of `'step'`: iterations between two steps, or a list of iterations"),
        gamma=Meaning("of `'step'`: factor of each step", '`0.1`'),
        warmup=Meaning('how the rate rises first; DAFormer: linearly over 1500 iterations from 1e-6 of it', '`None`'),
        warmup_iters=Meaning('how long'),
        warmup_ratio=Meaning('share of the rate that it starts from', '`0.1`'),
        by_epoch=Meaning('everything counts iterations', '`False`')),
    'runner': dict(
        type=Meaning('the only one'),
        max_iters=Meaning('length of the training in iterations')),
    'checkpoint_config': dict(
        interval=Meaning('iterations between checkpoints; one is always written at the end', '`evaluation.interval`'),
        max_keep_ckpts=Meaning('how many `iter_N.pth` stay; -1 keeps all', '`-1`'),
        save_optimizer=Meaning('`False` makes smaller files that cannot be resumed', '`True`'),
        out_dir=Meaning('where they go', '`work_dir`'),
        by_epoch=Meaning('everything counts iterations', '`False`'),
        save_last=Meaning(_WITHOUT_EFFECT)),
    'evaluation': dict(
        interval=Meaning('iterations between evaluations on `data.val`; the last iteration is always evaluated',
                         '`1000`'),
        start=Meaning('no evaluation before this iteration', '`0`'),
        metric=Meaning('one or several', "`'mIoU'`"),
        model=Meaning('which networks are scored', "`'student'`"),
        save_best=Meaning("`'mIoU'`, `'teacher.mIoU'`, ...: keep the checkpoint with the best score. `'auto'` is "
                          '`mIoU`', '`None`'),
        by_epoch=Meaning('everything counts iterations', '`False`'),
        rule=Meaning(_WITHOUT_EFFECT),
        efficient_test=Meaning(_WITHOUT_EFFECT),
        pre_eval=Meaning(f'{_WITHOUT_EFFECT}: predictions are scored as they come'),
        gpu_collect=Meaning(f'{_WITHOUT_EFFECT}: predictions are never collected')),
    'log_config': dict(
        interval=Meaning('iterations between log lines', '`50`'),
        img_interval=Meaning('iterations between training panels in `<work_dir>/debug`, from the first one on; absent '
                             'draws none', '`None`'),
        meters=Meaning('measure pseudo labels and the gradient of each loss before each evaluation (`--meters`, '
                       '[meters](../how-to/meters.md))', '`False`'),
        hooks=Meaning('what else is written, see below')),
    'log_config.hooks': dict(
        interval=Meaning(f'{_WITHOUT_EFFECT}: all follow `log_config.interval`'),
        by_epoch=Meaning(_WITHOUT_EFFECT),
        ignore_last=Meaning(_WITHOUT_EFFECT),
        reset_flag=Meaning(_WITHOUT_EFFECT),
        log_dir=Meaning(f'{_WITHOUT_EFFECT}: it is `<work_dir>/tf_logs`'),
        init_kwargs=Meaning('of `wandb.init`'),
        define_metric_cfg=Meaning('of `wandb.define_metric`'),
        commit=Meaning(_WITHOUT_EFFECT),
        with_step=Meaning(f'{_WITHOUT_EFFECT}: every value comes with `iter`, the training iteration'),
        log_artifact=Meaning(_WITHOUT_EFFECT),
        out_suffix=Meaning(_WITHOUT_EFFECT),
        exp_name=Meaning('name of the experiment'),
        run_name=Meaning('name of the run in it'),
        tags=Meaning('of the run'),
        params=Meaning('of the run'),
        tracking_uri=Meaning('a server or folder', '`<work_dir>/mlruns`'),
        log_model=Meaning(_WITHOUT_EFFECT)),
    'custom_hooks': dict(
        type=Meaning('a registered hook'),
        priority=Meaning('when it is called among the others; a number or a name of MMEngine', "`'NORMAL'`, or that of "
                         'its class')),
    'amp': dict(
        dtype=Meaning('bfloat16 for mixed precision; without the section all is fp32')),
    'the rest': dict(
        seed=Meaning('of all draws; `None` draws one and logs it', '`None`'),
        deterministic=Meaning('equal results on a GPU, at the cost of speed', '`False`'),
        auto_scale_lr=Meaning("multiply the optimizer's learning rates by the number of processes "
                              '([several GPUs](../how-to/several_gpus.md))', '`False`'),
        device=Meaning("`'cpu'`, `'cuda'`, `'cuda:1'`", 'a GPU if there is one'),
        compile=Meaning("compile the student's backbone and head; a dict has arguments of `torch.compile`", '`None`'),
        cudnn_benchmark=Meaning('let cuDNN choose the fastest convolutions', '`False`'),
        work_dir=Meaning('folder of logs and checkpoints', '`work_dirs/<config>`'),
        load_from=Meaning('a checkpoint to start from, with its weights alone', '`None`'),
        resume_from=Meaning("a checkpoint to continue; `'auto'` takes the newest whole one of the work_dir",
                            '`None`'),
        new_classifier=Meaning('of `load_from` take all but the classifier (`--new-classifier`)', '`False`'),
        log_level=Meaning("as in Python's logging: `'INFO'`, `'ERROR'`, ...", "`'INFO'`"),
        custom_imports=Meaning('`dict(imports=[...])`: modules of your own to import first')),
}
