# All together for GTA -> Cityscapes: HRDA's network, trained with masked images (MIC), rebuilt features (MRM) and a
# memory bank after DIDA. To take apart, not to begin with. Published are MIC(HRDA) with MRM, and DIDA on DAFormer, each
# for this pair of domains; all together has not been trained at this size. In small, on real images (configs/streets,
# docs/results.md), MIC helps HRDA, MRM takes some of it again, and this bank costs DAFormer a point: begin with
# ../mrm/gtaHR2csHR_mic_hrda_mrm.py, the strongest that is published, or ../mic/gtaHR2csHR_mic_hrda.py, the best in
# small.
# Every factor is the published one.
# Not with entropy balancing: it keeps undecided pixels below pseudo_threshold, and the masked and the target branch are
# weighted by the share of those above. It was published for adverse weather.
_base_ = '../mrm/gtaHR2csHR_mic_hrda_mrm.py'
name = 'gtaHR2csHR_mic_hrda_mrm_dida'
name_uda = 'dacs_a999_fdthings_rcs0.01-2.0_cpl2_m64-0.7-spta_mrm0.4_dida'
# The bank holds embeddings of HRDA's context. It is compared in our way: cosines, target cells, a bank of this run
# (docs/methods.md says why not as in the published program, preset 'dida_code').
uda = dict(instance_bank=dict(preset='cosine', size=300, weight=0.5, smoothing=1.0))
