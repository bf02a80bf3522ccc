"""What data sets, losses and scores agree on about label maps."""
IGNORED = 255  # the one value of unlabelled pixels inside the program, whatever label files call them
TARGET_LABEL = 'target_gt_for_meters'  # of a sample or batch: the target's labels, which meters read and no loss does
