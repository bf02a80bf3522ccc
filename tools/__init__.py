"""Command-line tools; run them as python -m tools.NAME or python tools/NAME.py."""
