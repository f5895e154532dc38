"""Partial states: replaced whole, refused when they are not, and removed whatever lies in their place."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.errors import StoreError
from stages.keys import ArtifactId, Key, canonical_json, digest_bytes
from stages.store.artifacts import Store
from stages.store.partial import PartialState, PartialStates
from tests.builders import build_node, publish
from tests.trees import make_deep

ARTIFACT = ArtifactId("denoise", Key("a" * 32))
OTHER = ArtifactId("denoise", Key("b" * 32))
STATE = PartialState({"code": "c" * 32}, {"num_done": 7}, b"latents\n\x00")
NUM_BYTES = len(STATE.payload)


@pytest.fixture
def states(tmp_path: Path) -> PartialStates:
    return PartialStates(tmp_path / "artifacts")


def file_of(states: PartialStates) -> Path:
    return states.folder(ARTIFACT) / "state"


def fault(states: PartialStates) -> str:
    """Why the state cannot be used."""
    with pytest.raises(StoreError) as error:
        states.read(ARTIFACT, payload_bytes=NUM_BYTES)
    message = str(error.value)
    assert message.startswith(f"{file_of(states)}: ")
    return message.removeprefix(f"{file_of(states)}: ")


def test_a_state_is_read_back_equal(states: PartialStates):
    states.write(ARTIFACT, STATE)
    assert states.read(ARTIFACT, payload_bytes=NUM_BYTES) == STATE


def test_where_nothing_was_kept_there_is_none(states: PartialStates):
    assert states.read(ARTIFACT, payload_bytes=NUM_BYTES) is None
    states.write(OTHER, STATE)
    assert states.read(ARTIFACT, payload_bytes=NUM_BYTES) is None


def test_the_facts_of_a_state_are_read_without_its_size(states: PartialStates):
    states.write(ARTIFACT, STATE)
    assert states.read_facts(ARTIFACT) == STATE.facts


def test_of_a_state_that_is_damaged_or_not_there_no_facts_are_read(states: PartialStates):
    assert states.read_facts(ARTIFACT) is None
    states.write(ARTIFACT, STATE)
    file_of(states).write_bytes(file_of(states).read_bytes()[:-1])
    assert states.read_facts(ARTIFACT) is None


def test_a_later_state_replaces_the_one_before_and_leaves_no_draft(states: PartialStates):
    later = replace(STATE, facts={"num_done": 8})
    states.write(ARTIFACT, STATE)
    states.write(ARTIFACT, later)
    assert states.read(ARTIFACT, payload_bytes=NUM_BYTES) == later
    root = file_of(states).parents[3]
    assert [*file_of(states).parent.iterdir()] == [file_of(states)]
    assert [*(root / ".drafts").iterdir()] == []


def test_a_writer_that_is_killed_leaves_the_state_before(states: PartialStates, tmp_path: Path):
    program = """
import os, signal, sys
from pathlib import Path
from tests.store.test_partial import ARTIFACT, STATE
from stages.store.partial import PartialStates
Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
PartialStates(Path(sys.argv[1])).write(ARTIFACT, STATE)
"""
    before = replace(STATE, facts={"num_done": 1})
    states.write(ARTIFACT, before)
    ended = subprocess.run([sys.executable, "-c", program, tmp_path / "artifacts"], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert states.read(ARTIFACT, payload_bytes=NUM_BYTES) == before
    states.write(ARTIFACT, STATE)
    assert states.read(ARTIFACT, payload_bytes=NUM_BYTES) == STATE


def test_a_state_that_is_cut_at_any_length_is_refused():
    content = STATE.to_bytes(ARTIFACT)
    for length in range(len(content)):
        with pytest.raises(ValueError, match=r"^its digest does not match$"):
            PartialState.from_bytes(content[:length], ARTIFACT, NUM_BYTES)


def test_every_flipped_bit_is_noticed():
    content = STATE.to_bytes(ARTIFACT)
    for bit in range(len(content) * 8):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ValueError, match=r"^its digest does not match$"):
            PartialState.from_bytes(bytes(flipped), ARTIFACT, NUM_BYTES)


def test_a_state_that_grew_is_refused_and_not_read_when_it_is_huge(states: PartialStates):
    states.write(ARTIFACT, STATE)
    file_of(states).write_bytes(file_of(states).read_bytes() + b"x")
    assert fault(states) == "is damaged (its digest does not match)"
    os.truncate(file_of(states), 1 << 40)
    assert fault(states) == f"is damaged (it has {1 << 40} bytes)"


def seal(content: bytes) -> bytes:
    """A file with the right digest, whatever it holds."""
    return digest_bytes(content).encode() + content


def header(**changes: object) -> bytes:
    names = {"format": 1, "stage": "denoise", "key": "a" * 32, "made_with": {}, "facts": {}}
    return canonical_json(names | changes) + b"\n"


def test_a_file_that_holds_what_it_should_is_read(states: PartialStates):
    states.write(ARTIFACT, STATE)
    file_of(states).write_bytes(seal(header() + STATE.payload))
    assert states.read(ARTIFACT, payload_bytes=NUM_BYTES) == PartialState({}, {}, STATE.payload)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (header(format=2) + STATE.payload, "it is of another version"),
        (b"[]\n", "it is of another version"),
        (header(key="b" * 32) + STATE.payload, "it is that of another node"),
        (header(stage="decode") + STATE.payload, "it is that of another node"),
        (header(made_with=["code"]) + STATE.payload, "it does not say how it was made"),
        (header(made_with={"code": 1}) + STATE.payload, "it does not say how it was made"),
        (header(facts=None) + STATE.payload, "it does not say how it was made"),
        (header() + STATE.payload[1:], "it holds 8 bytes, not 9"),
        (header(), "it holds 0 bytes, not 9"),
        (b"[" * 100_000, "it is nested too deeply"),
        (header(facts={"step": 1}).replace(b"1", b"9" * 5000), "it has a number of thousands of digits"),
        (b"", "it is empty"),
    ],
)
def test_a_file_that_holds_something_else_is_refused(states: PartialStates, content: bytes, why: str):
    states.write(ARTIFACT, STATE)
    file_of(states).write_bytes(seal(content))
    assert fault(states) == f"is damaged ({why})"


@given(content=st.binary(max_size=200))
def test_no_bytes_are_an_error_of_another_kind(content: bytes):
    with pytest.raises(ValueError, match=r"."):
        PartialState.from_bytes(seal(content), ARTIFACT, NUM_BYTES)


# What can lie in a place, made by a path and the path of a whole state elsewhere.
OBSTACLES: Mapping[str, Callable[[Path, Path], object]] = {
    "fifo": lambda path, _whole: os.mkfifo(path),
    "folder": lambda path, _whole: (path / "below").mkdir(parents=True),
    "file": lambda path, _whole: path.touch(),
    "link to nothing": lambda path, _whole: path.symlink_to("nowhere"),
    "link to itself": lambda path, _whole: path.symlink_to(path),
    "link to a whole one": lambda path, whole: path.symlink_to(whole if path.name == "state" else whole.parent),
}
LINK = "is damaged (it is a link, or not a plain file in a plain folder)"
NO_FILE = "cannot be read (is a FIFO, not a file)"
FOLDER = "cannot be read (Is a directory)"
NO_DIGEST = "is damaged (its digest does not match)"
FAULTS = [
    ("state", "fifo", NO_FILE),
    ("state", "folder", FOLDER),
    ("state", "file", NO_DIGEST),
    ("state", "link to nothing", LINK),
    ("state", "link to itself", LINK),
    ("state", "link to a whole one", LINK),
    ("folder", "fifo", LINK),
    ("folder", "file", LINK),
    ("folder", "link to nothing", LINK),
    ("folder", "link to itself", LINK),
    ("folder", "link to a whole one", LINK),
]


def put(states: PartialStates, place: str, obstacle: str) -> None:
    """Put something else in the place of the state, or of its folder."""
    elsewhere = PartialStates(file_of(states).parents[4] / "elsewhere")
    elsewhere.write(ARTIFACT, STATE)
    path = file_of(states) if place == "state" else states.folder(ARTIFACT)
    path.parent.mkdir(parents=True)
    OBSTACLES[obstacle](path, file_of(elsewhere))


@pytest.mark.parametrize(("place", "obstacle", "why"), FAULTS)
def test_something_else_in_the_place_of_a_state_is_refused(states: PartialStates, place: str, obstacle: str, why: str):
    put(states, place, obstacle)
    assert fault(states) == why


@pytest.mark.parametrize(("place", "obstacle"), [(place, each) for place in ("state", "folder") for each in OBSTACLES])
def test_a_new_state_takes_the_place_of_whatever_is_there(states: PartialStates, place: str, obstacle: str):
    put(states, place, obstacle)
    states.write(ARTIFACT, STATE)
    assert states.read(ARTIFACT, payload_bytes=NUM_BYTES) == STATE
    assert file_of(states).resolve() == file_of(states)


@pytest.mark.parametrize(("place", "obstacle"), [(place, each) for place in ("state", "folder") for each in OBSTACLES])
def test_whatever_is_in_the_place_of_a_state_is_removed_and_nothing_else(
    states: PartialStates, place: str, obstacle: str
):
    put(states, place, obstacle)
    assert states.remove(ARTIFACT)
    assert not os.path.lexists(states.folder(ARTIFACT))
    elsewhere = PartialStates(file_of(states).parents[4] / "elsewhere")
    assert elsewhere.read(ARTIFACT, payload_bytes=NUM_BYTES) == STATE


def test_there_is_nothing_to_remove_where_nothing_was_kept(states: PartialStates):
    assert not states.remove(ARTIFACT)
    states.write(OTHER, STATE)
    assert not states.remove(ARTIFACT)
    assert states.remove(OTHER)
    assert not states.remove(OTHER)


def test_a_state_is_removed_without_room_for_anything_new(states: PartialStates, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    states.write(ARTIFACT, STATE)
    monkeypatch.setattr(os, "mkdir", refuse)
    assert states.remove(ARTIFACT)


def test_all_states_are_found_with_their_bytes_also_what_is_none_but_no_file_of_a_persons_own(states: PartialStates):
    assert states.find_all() == []
    states.write(OTHER, STATE)
    states.folder(ARTIFACT).mkdir(parents=True)
    states.folder(ArtifactId("denoise", Key("c" * 32))).symlink_to("nowhere")
    (states.folder(ARTIFACT).parents[1] / "a file").touch()
    (states.folder(ARTIFACT).parent / "notes.txt").touch()
    found = states.find_all()
    assert [kept.artifact.key[0] for kept in found] == ["a", "b", "c"]
    size_bytes = file_of(states).parent.with_name("b" * 32).joinpath("state").stat().st_size
    assert [kept.size_bytes for kept in found] == [0, size_bytes, len("nowhere")]
    assert [kept.path for kept in found] == [states.folder(kept.artifact) for kept in found]
    assert all(states.remove(kept.artifact) for kept in found)
    assert states.find_all() == []


def test_the_file_of_a_state_goes_to_another_store_as_it_is(states: PartialStates, tmp_path: Path):
    other = PartialStates(tmp_path / "other")
    assert states.read_file(ARTIFACT) is None
    states.write(ARTIFACT, STATE)
    content = states.read_file(ARTIFACT)
    assert content is not None
    other.write_file(ARTIFACT, content)
    assert other.read(ARTIFACT, payload_bytes=NUM_BYTES) == STATE


def test_the_state_of_an_artifact_goes_with_it(tmp_path: Path):
    store, node = Store(tmp_path), build_node("denoise")
    states = PartialStates(tmp_path)
    states.write(node.artifact, STATE)
    assert store.remove(node.artifact)
    assert states.find_all() == []
    assert not store.remove(node.artifact)
    publish(store, node)
    states.write(node.artifact, STATE)
    assert store.remove(node.artifact)
    assert states.find_all() == []


def test_a_place_that_cannot_be_used_is_an_error_with_its_name(states: PartialStates):
    folder = states.folder(ARTIFACT).parents[1]
    folder.parent.mkdir()
    folder.touch()
    with pytest.raises(OSError, match="partial") as error:
        states.write(ARTIFACT, STATE)
    assert str(error.value.filename).startswith(str(folder))


def test_a_state_in_whose_place_are_folders_deeper_than_any_path_is_removed(states: PartialStates):
    states.folder(ARTIFACT).parent.mkdir(parents=True)
    make_deep(states.folder(ARTIFACT), 1500)
    assert states.remove(ARTIFACT)
    assert not states.folder(ARTIFACT).exists()
