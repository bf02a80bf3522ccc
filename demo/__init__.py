"""Demo programs; run them as python -m demo.NAME."""
