"""What a video's link led to before."""

from pathlib import Path

import pytest

from stages.keys import ArtifactId, Key
from stages.store.layout import EARLIER
from stages.store.link_history import LinkHistory

ONE, OTHER, THIRD = (ArtifactId("export", Key(digit * 32)) for digit in "123")
LINK = "demo.mp4"


def add(root: Path, *artifacts: ArtifactId) -> LinkHistory:
    for artifact in artifacts:
        LinkHistory(root).add(LINK, artifact)
    return LinkHistory(root)


def test_without_a_change_nothing_is_known(tmp_path: Path):
    assert LinkHistory(tmp_path).find_before(LINK, ONE) is None


def test_before_is_what_it_led_to_last(tmp_path: Path):
    assert add(tmp_path, ONE, OTHER).find_before(LINK, THIRD) == OTHER


def test_what_it_leads_to_now_is_not_before(tmp_path: Path):
    assert add(tmp_path, ONE, OTHER).find_before(LINK, OTHER) == ONE


def test_only_two_are_kept_and_each_once(tmp_path: Path):
    add(tmp_path, ONE, OTHER, ONE, THIRD)
    assert (tmp_path / EARLIER / LINK).read_text() == f"export/{ONE.key}\nexport/{THIRD.key}\n"


def test_links_of_other_names_have_their_own(tmp_path: Path):
    assert add(tmp_path, ONE).find_before("demo.draft.mp4", None) is None


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"export\n", b"../x/y\n", b"export/" + b"1" * 5000, b"a b\n" * 9]
)
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, content: bytes):
    (tmp_path / EARLIER).mkdir()
    (tmp_path / EARLIER / LINK).write_bytes(content)
    assert LinkHistory(tmp_path).find_before(LINK, None) is None
    assert add(tmp_path, ONE).find_before(LINK, None) == ONE
