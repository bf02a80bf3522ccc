# What the trainings with entropy balancing (EBDA) share: DAFormer with one image of each domain per iteration, which
# fits on an 11 GB card, for 50,000 iterations.
_base_ = '../daformer/common.py'
uda = dict(
    # Holds the entropy of what the student predicts for the mixed images near a moderate constant: confident
    # predictions give a little of their certainty away, undecided ones gain some.
    entropy_balance=dict(
        # Factor of the loss.
        weight=0.1,
        # Entropy to aim at, in nats: the most probable of 19 classes has a probability of 0.94 then.
        target=0.4),
    # Rows of the crop without pseudo labels, made for Cityscapes and published with this method.
    pseudo_weight_ignore_top=15,
    pseudo_weight_ignore_bottom=120)
runner = dict(max_iters=50000)
checkpoint_config = dict(interval=50000)
# The best of 25 evaluations is kept beside the last checkpoint.
evaluation = dict(interval=2000, save_best='mIoU')
log_config = dict(interval=100)
