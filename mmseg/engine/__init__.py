"""Training: the runner, its loops and hooks, optimizer and schedule, logs, and checkpoints to continue from."""
