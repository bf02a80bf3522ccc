"""A config for data of one's own, from the folders alone."""
