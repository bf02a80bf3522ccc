# MRM on top of DAFormer, GTA -> Cityscapes (experiment 91). Its keys are explained in
# ../gta2cs_dacs_mrm_dlv2.py.
_base_ = '../daformer/gta2cs_uda_warm_fdthings_rcs_croppl_a999_daformer_mitb5_s0.py'
name = 'gta2cs_daformer_mrm'
name_uda = 'dacs_a999_fdthings_rcs0.01_cpl_mrm0.4'
data = dict(workers_per_gpu=1)
uda = dict(
    mrm=dict(
        weight=1.0, mask_ratio=0.4, dim=512, grid='auto', depth=2, heads=16, lr=2e-4, view='target', aux_bn='frozen'))
