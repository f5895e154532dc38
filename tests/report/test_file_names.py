"""Names of files in the report."""

from pathlib import Path

from stages.report.file_names import media_name, page_name, poster_name, preview_name, strip_name
from stages.report.gathering import gather
from tests.report.reports import load


def test_media_are_named_by_content_and_pages_by_video(project: Path):
    video = gather(load(project)).videos["demo.draft"]
    folder = project / "artifacts/report"
    names = [media_name(video), poster_name(video.digest), strip_name(video.digest), page_name(video.name)]
    assert names == [
        f"media/{video.digest}.mp4",
        f"media/{video.digest}.webp",
        f"media/{video.digest}-strip.webp",
        "videos/demo.draft.html",
    ]
    assert all((folder / name).is_file() for name in names)
    assert preview_name(video) is None
