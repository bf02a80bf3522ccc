# MRM on top of HRDA, GTA -> Cityscapes (experiment 92). Its keys are explained in
# ../gta2cs_dacs_mrm_dlv2.py.
_base_ = '../hrda/gtaHR2csHR_hrda.py'
seed = 0
name = 'gtaHR2csHR_hrda_mrm'
name_uda = 'dacs_a999_fdthings_rcs0.01-2.0_cpl2_mrm0.4'
uda = dict(
    mrm=dict(
        weight=1.0, mask_ratio=0.4, dim=512, grid='auto', depth=2, heads=16, lr=2e-4, view='target', aux_bn='frozen'))
