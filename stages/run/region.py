"""Lines at the end of a terminal that are drawn again and again, and what is printed above them.

Only what has changed is written, in one piece, over what was there: nothing is blank in between, the cursor stays
visible, and the screen is the terminal's usual one, in which lines scroll away. A process that is killed leaves nothing
to be undone.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

_ERASE_LINE, _ERASE_BELOW = "\x1b[K", "\x1b[J"  # from the cursor on


class Region:
    """The lines. For one thread at a time."""

    def __init__(self, console: Console) -> None:
        """Nothing is drawn yet."""
        self._console = console
        self._drawn: tuple[list[Text], int] = ([], 0)  # and the width of the terminal then

    @property
    def is_bare(self) -> bool:
        """Whether no line is drawn."""
        return not self._drawn[0]

    def draw(self, lines: Sequence[Text]) -> None:
        """Show these in place of those that are there; each must be shorter than the terminal is wide."""
        if (lines or not self.is_bare) and ([*lines], self._console.width) != self._drawn:
            self._write([*lines])

    def clear(self) -> None:
        """Take them away, so that something can be printed in their place."""
        self.draw(())

    def forget(self) -> None:
        """Leave them where they are: others have written below. The next are drawn at the cursor."""
        self._drawn = [], 0

    def _write(self, lines: list[Text]) -> None:
        num_rows = self._num_rows()
        with self._console.capture() as captured:
            for line in lines:
                self._console.print(line, end=f"{_ERASE_LINE}\n", soft_wrap=True, highlight=False)
        back = f"\r\x1b[{num_rows}A" if num_rows else "\r"
        file = self._console.file
        file.write(f"{back}{captured.get()}{_ERASE_BELOW}")
        file.flush()
        self._drawn = lines, self._console.width

    def _num_rows(self) -> int:
        """Rows that the lines take now: a terminal that has become narrower has wrapped them."""
        lines, _ = self._drawn
        width, height = self._console.size
        num_rows = sum(max(-(-line.cell_len // max(width, 1)), 1) for line in lines)
        return min(num_rows, max(height - 1, 0))


class Above:
    """Takes the place of stdout or stderr while a region is shown: what others print stands above it, line by line."""

    def __init__(self, stream: TextIO, above: Callable[[], AbstractContextManager[None]]) -> None:
        """`above` makes room for the time of a block."""
        self.rich_proxied_file = stream  # by this name rich finds the stream itself
        self._above = above
        self._begun = ""

    def write(self, text: str, /) -> int:
        """Print the lines that are whole by now."""
        whole, line_break, self._begun = (self._begun + text).rpartition("\n")
        if line_break:
            with self._above():
                self.rich_proxied_file.write(whole + line_break)
        return len(text)

    def writelines(self, texts: Iterable[str], /) -> None:
        """Print one text after another."""
        for text in texts:
            self.write(text)

    def finish(self) -> None:
        """Print what is left of a line."""
        if self._begun:
            self.rich_proxied_file.write(self._begun)
            self._begun = ""

    def flush(self) -> None:
        """As the stream's."""
        self.rich_proxied_file.flush()

    def __getattr__(self, name: str) -> Any:
        """As the stream's, such as its descriptor and encoding."""
        return getattr(self.rich_proxied_file, name)
