"""``python -m bedside.cli``, for where the console script is not on the path."""

from bedside.cli import main

if __name__ == "__main__":
    main()
