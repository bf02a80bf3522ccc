# min_lr lies above AdamW's 6e-5: a backbone with that base rate then rises to 1e-4. Kept as published.
lr_config = dict(policy='poly', power=1.0, min_lr=1e-4, by_epoch=False)
