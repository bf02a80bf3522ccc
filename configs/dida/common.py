# What DIDA's trainings share: DAFormer with an instance bank, to Cityscapes.
_base_ = '../daformer/common.py'
uda = dict(
    # A bank of labelled source features, to which pixels are compared beside being classified: the similarities of a
    # mixed image should be those of the target image.
    instance_bank=dict(
        # 'dida' are the paper's equations; 'dida_code' repeats what the published program computes.
        preset='dida',
        # Rows of the bank, shared equally by the classes.
        size=300,
        # Factor of the loss.
        weight=0.5,
        # Share of the class scores in the pseudo labels; the rest would come from the bank. 1.0 as in the published
        # runs: less makes labels less sure, and with 0.9 hardly a pixel reaches pseudo_threshold (docs/methods.md).
        smoothing=1.0),
    # Rows of the crop without pseudo labels, made for Cityscapes.
    pseudo_weight_ignore_top=15,
    pseudo_weight_ignore_bottom=120)
# 25 evaluations, each with a checkpoint, all of which stay, as published. checkpoint_config.max_keep_ckpts=1 saves
# disk.
checkpoint_config = dict(interval=1600, max_keep_ckpts=50)
evaluation = dict(interval=1600)
