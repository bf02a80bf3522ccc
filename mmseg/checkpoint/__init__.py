"""Checkpoint files: reading them without running code, finding one, and taking one network's weights out of them.

What a training writes and continues from is in ``mmseg.engine.saving``, which knows the optimizer too.
"""
