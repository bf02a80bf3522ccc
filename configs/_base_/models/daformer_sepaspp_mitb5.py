# DAFormer: MiT-B5 and the context-aware head, an ASPP of depthwise separable convolutions over all levels.
_base_ = 'daformer_aspp_mitb5.py'
model = dict(decode_head=dict(decoder_params=dict(fusion_cfg=dict(sep=True))))
