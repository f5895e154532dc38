"""The process that paints: a line of JSON for each video, `[file, folder]`, and a line of JSON back for each."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

from stages.report.painter import paint
from stages.store.posters import FACTS, POSTER, STRIP
from stages.store.replace_file import write_file


def main() -> None:
    """Paint what the standard input names; answer "" for each, or why it cannot be painted."""
    for line in sys.stdin:
        video, folder = map(Path, json.loads(line))
        print(json.dumps(paint_into(video, folder)), flush=True)


def paint_into(video: Path, folder: Path) -> str:
    """Put a video's pictures into its folder, the facts last; "", or why there are none."""
    try:
        poster, strip, facts = paint(video)
        write_file(folder / POSTER, poster, is_synced=False)
        write_file(folder / STRIP, strip, is_synced=False)
        write_file(folder / FACTS, json.dumps(asdict(facts)) + "\n", is_synced=False)
    except Exception as error:
        return str(error) or type(error).__name__
    return ""
