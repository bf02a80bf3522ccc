"""``python -m mmseg`` is ``udaseg``, also where that is not on the path."""
from mmseg.cli import main

if __name__ == '__main__':
    main()
