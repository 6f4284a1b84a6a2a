"""Let `python -m sensord` be the `sensord` command."""

from sensord.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
