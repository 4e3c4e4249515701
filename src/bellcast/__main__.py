"""`python -m bellcast` runs the command line where scripts are not on PATH."""

from bellcast.cli import main

if __name__ == "__main__":
    main()
