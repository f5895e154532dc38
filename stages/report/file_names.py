"""Names of files in the report's folder; those of media are by digest, so that a name has one content for ever."""

from stages.keys import Digest
from stages.report.shown import ShownVideo, UnmadeVideo


def media_name(video: ShownVideo) -> str:
    """Of the copy of a video, in the report's folder."""
    return f"media/{video.digest}{video.file.suffix}"


def poster_name(digest: Digest) -> str:
    """Of the copy of a poster."""
    return f"media/{digest}.webp"


def strip_name(digest: Digest) -> str:
    """Of the copy of a strip."""
    return f"media/{digest}-strip.webp"


def preview_name(video: ShownVideo | UnmadeVideo) -> str | None:
    """Of the copy of a preview; None where there is none."""
    return None if video.preview is None else f"media/preview-{video.preview.parent.name}.webp"


def page_name(video: str) -> str:
    """Of a video's page."""
    return f"videos/{video}.html"
