"""``python -m wslog`` is the ``wslog`` command."""

from wslog.cli import main

if __name__ == "__main__":
    main()
