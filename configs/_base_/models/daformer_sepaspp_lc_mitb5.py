# The network of EBDA's configs: DAFormer's. Their LogitConstraintLoss computes plain cross-entropy as published.
_base_ = 'daformer_sepaspp_mitb5.py'
