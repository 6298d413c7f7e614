"""`python -m vepe` is the `vepe` command."""

from vepe.cli.app import main

if __name__ == "__main__":
    main()
