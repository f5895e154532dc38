"""Text that others may have written, as it can be shown to people: on one line, and without orders to a terminal."""


def printable(text: str) -> str:
    r"""A text with single spaces in place of white space, and `\x1b` and the like in place of what has no picture.

    That takes escape sequences, which can clear a screen or set its title; marks that turn the direction of writing;
    and halves of surrogate pairs, which no encoding can print.
    """
    line = " ".join(text.split())
    if line.isprintable():
        return line
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in line)
