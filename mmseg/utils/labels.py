"""What data sets, losses and scores agree on about label maps."""
IGNORED = 255  # the one value of unlabelled pixels inside the program, whatever label files call them
