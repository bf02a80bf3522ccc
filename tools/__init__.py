"""Commands; run them as python -m tools.NAME."""
