lr_config = dict(
    policy='poly', power=1.0, min_lr=0.0, by_epoch=False, warmup='linear', warmup_iters=1500, warmup_ratio=1e-6)
