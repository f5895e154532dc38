"""What a video's link led to before: a small file per link in `.earlier/` of the store, written when the link changes.

A line per artifact, `<stage>/<key>`, the latest last. It may be deleted at any time: then nothing is known of before.
"""

from collections.abc import Iterator
from pathlib import Path

from stages.keys import KEY_NAME, STAGE_NAME, ArtifactId, Key
from stages.machine.regular_files import read_regular
from stages.store.layout import EARLIER
from stages.store.replace_file import write_file
from stages.store.sharing import make_folder

_NUM_KEPT = 2  # one of them may be what the link leads to at present
_MAX_BYTES = 4096


class LinkHistory:
    """The history of the links of one store."""

    def __init__(self, root: Path) -> None:
        """`root` is the store's folder. Nothing is read."""
        self._root = root

    def add(self, link: str, artifact: ArtifactId) -> None:
        """Note that a link has led to this artifact until now. Under the store's lock. Raises OSError."""
        entries = [entry for entry in self._read(link) if entry != artifact]
        lines = [f"{entry.stage}/{entry.key}\n" for entry in [*entries, artifact][-_NUM_KEPT:]]
        folder = self._root / EARLIER
        make_folder(folder, self._root)
        write_file(folder / link, "".join(lines), is_synced=False)

    def find_before(self, link: str, now: ArtifactId | None) -> ArtifactId | None:
        """What a link led to before it led to `now`, or before it was removed; None where that is not known."""
        return next((entry for entry in reversed([*self._read(link)]) if entry != now), None)

    def _read(self, link: str) -> Iterator[ArtifactId]:
        try:
            text = read_regular(self._root / EARLIER / link, _MAX_BYTES).decode()
        except (OSError, ValueError):  # none, or damaged, which is as good as none
            return
        for line in text.splitlines():
            stage, _, key = line.partition("/")
            if STAGE_NAME.fullmatch(stage) and KEY_NAME.fullmatch(key):
                yield ArtifactId(stage, Key(key))
