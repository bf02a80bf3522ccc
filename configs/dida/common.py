# What DIDA's trainings share: DAFormer with a memory bank, to Cityscapes, as the published program trains it.
_base_ = '../daformer/common.py'
uda = dict(
    # A bank of labelled source features, to which pixels are compared beside being classified: the similarities of a
    # mixed image should be those of the target image.
    instance_bank=dict(
        # What the published program computes. Another preset, 'cosine', is ours: docs/methods.md compares them.
        preset='dida_code',
        # Folder of the bank to start from. None: a first pass over source images fills one before the training begins,
        # with features of the network as it is then, its decoder untrained. The published runs start from the banks in
        # the embedding_cache of the authors' repository, features of another training: to repeat them, copy such a
        # folder into ours and name it here, bank='embedding_cache/...'.
        bank=None,
        # Rows of the bank that is filled, shared equally by the classes.
        size=300,
        # Factor of the loss.
        weight=0.5,
        # Share of the class scores in the pseudo labels; 1.0 leaves them alone, as published.
        smoothing=1.0),
    # Rows of the crop without pseudo labels, made for Cityscapes.
    pseudo_weight_ignore_top=15,
    pseudo_weight_ignore_bottom=120)
# 25 evaluations, each with a checkpoint, all of which stay, as published. checkpoint_config.max_keep_ckpts=1 saves
# disk.
checkpoint_config = dict(interval=1600, max_keep_ckpts=50)
evaluation = dict(interval=1600)
