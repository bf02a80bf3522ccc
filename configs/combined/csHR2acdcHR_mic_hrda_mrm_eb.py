# All together for Cityscapes -> ACDC: HRDA's network, trained with masked images (MIC), rebuilt features (MRM) and
# balanced entropy (EBDA). To take apart, not to begin with. Published are MIC(HRDA), and EBDA on DAFormer, each for
# this pair of domains; MRM was published for simulated sources only. All together has not been trained at this size. In
# small, on real images (configs/streets, docs/results.md), MIC helps HRDA, MRM takes some of it again, and EBDA is
# level with DAFormer or just below: begin with ../mic/csHR2acdcHR_mic_hrda.py, and add one part at a time.
# Not with the instance bank: it was published for simulated sources, and its rows are daylight features, to which those
# of night, fog and snow are compared.
_base_ = '../mic/csHR2acdcHR_mic_hrda.py'
uda = dict(
    mrm=dict(
        weight=1.0, mask_ratio=0.4, dim=512, grid='auto', depth=2, heads=16, lr=2e-4, view='target', aux_bn='frozen'),
    # Watch pseudo_weight in the log: balancing keeps undecided pixels below pseudo_threshold, and the losses of masked
    # images and rebuilt features are weighted by the share of those above. If it falls, lower this weight first.
    entropy_balance=dict(weight=0.1, target=0.4))
