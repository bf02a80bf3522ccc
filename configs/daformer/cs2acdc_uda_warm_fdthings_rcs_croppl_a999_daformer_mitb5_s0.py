# EBDA's own name of its config for Cityscapes -> ACDC; what its program generated inherits from this file.
_base_ = '../ebda/cs2acdc_ebda_daformer_mitb5.py'
name = 'cs2acdc_uda_warm_fdthings_rcs_croppl_a999_daformer_mitb5_s0'
exp = 'basic'
