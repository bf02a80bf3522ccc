# MRM on top of DAFormer, Synthia -> Cityscapes (experiment 91). Its keys are explained in
# ../gta2cs_dacs_mrm_dlv2.py.
_base_ = '../daformer/syn2cs_daformer.py'
data = dict(workers_per_gpu=1)
uda = dict(
    mrm=dict(
        weight=1.0, mask_ratio=0.4, dim=512, grid='auto', depth=2, heads=16, lr=2e-4, view='target', aux_bn='frozen'))
