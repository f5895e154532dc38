"""Ratings and notes of videos: `ratings.json` in the project's folder, which belongs into version control.

By the keys of videos, so that a rating is of the video that was seen, and not of what its name stands for by now.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from stages.errors import ParamsError
from stages.keys import KEY_NAME
from stages.machine.json_files import read_json
from stages.machine.regular_files import reason_of
from stages.store.replace_file import write_file

FILE: Final = "ratings.json"
MAX_STARS: Final = 5
MAX_NOTE: Final = 10_000  # characters
_MAX_NAME: Final = 255
_MAX_BYTES: Final = 64 << 20

Rating: TypeAlias = dict[str, Any]  # video, the name under which it was seen; rating, 0..5, 0 is none; note
Ratings: TypeAlias = Mapping[str, Rating]


def read_ratings(root: Path) -> Ratings:
    """Those of a project, by key; none where there is no file.

    Raises:
        ParamsError: the file cannot be read, or holds something else.
    """
    file = root / FILE
    try:
        found = read_json(file, _MAX_BYTES)
        if not isinstance(found, dict):
            raise ValueError("it is not a JSON object")
        return {key: check_rating(key, entry) for key, entry in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ParamsError(
            f"{FILE}: cannot be read ({reason_of(error)}). It holds the ratings and notes of videos: correct it, or "
            "move it away."
        ) from error


def check_rating(key: str, entry: Any) -> Rating:
    """One entry, when it is what a page of the report sends. Raises ValueError: what is wrong."""
    if KEY_NAME.fullmatch(key) is None:
        raise ValueError(f"{key[:40]!r} is not the key of a video")
    if not isinstance(entry, dict) or entry.keys() != {"video", "rating", "note"}:
        raise ValueError("an entry has `video`, `rating` and `note`, and nothing else")
    video, rating, note = entry["video"], entry["rating"], entry["note"]
    if not isinstance(video, str) or len(video) > _MAX_NAME:
        raise ValueError("`video` is not a name")
    if type(rating) is not int or not 0 <= rating <= MAX_STARS:
        raise ValueError(f"`rating` is not a whole number from 0 to {MAX_STARS}")
    if not isinstance(note, str) or len(note) > MAX_NOTE:
        raise ValueError(f"`note` is not a text of up to {MAX_NOTE} characters")
    return {"video": video, "rating": rating, "note": note}


def save_rating(root: Path, key: str, entry: Any) -> None:
    """Put one into the project's file; one that says nothing is taken out.

    Raises:
        ValueError: it is none.
        ParamsError: as `read_ratings`.
        OSError: the file cannot be written.
    """
    checked = check_rating(key, entry)
    ratings = {**read_ratings(root), key: checked}
    kept = {each: found for each, found in sorted(ratings.items()) if found["rating"] or found["note"]}
    text = json.dumps(kept, indent=2, ensure_ascii=False) + "\n"
    write_file(root / FILE, text.encode(errors="backslashreplace"), is_synced=True)
