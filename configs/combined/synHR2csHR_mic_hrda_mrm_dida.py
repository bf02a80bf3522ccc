# All together for Synthia -> Cityscapes: as gtaHR2csHR_mic_hrda_mrm_dida.py, for its reasons and with its doubts.
_base_ = '../mrm/synHR2csHR_mic_hrda_mrm.py'
uda = dict(
    instance_bank=dict(
        preset='cosine',
        size=300,
        # Those that Synthia has, rarest first: the bank would never be full with rows for terrain, truck and train.
        classes=[18, 12, 17, 7, 6, 11, 15, 4, 5, 3, 13, 8, 1, 10, 2, 0],
        weight=0.5,
        smoothing=1.0))
