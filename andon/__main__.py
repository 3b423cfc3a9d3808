"""`python -m andon` is the command `andon`."""

from andon import main

if __name__ == "__main__":
    main()
