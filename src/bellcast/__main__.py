"""`python -m bellcast` is the command line, for where scripts are not on the path."""

from bellcast.cli import main

if __name__ == "__main__":
    main()
