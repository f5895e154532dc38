"""`python -m stages.new`: see command.py."""

from stages.new.command import main

if __name__ == "__main__":
    main()
