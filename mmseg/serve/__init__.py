"""A page to try a network, or to compare two, on one's own images and videos."""
