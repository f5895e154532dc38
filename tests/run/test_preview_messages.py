"""The messages of previews, from one process to the other."""

from pathlib import Path

import pytest

from stages.keys import ArtifactId, Key
from stages.models.checkpoint import Checkpoint
from stages.run.preview_messages import Answer, Moment, Subject

ELSEWHERE = Checkpoint(Path("/cache/vae"), repo="someone/vae", commit="c" * 40)
SUBJECT = Subject(
    Path("/a store"),
    ArtifactId("denoise", Key("1" * 32)),
    ("demo", "demo.draft"),
    Checkpoint(Path("/model"), variant="fp16", elsewhere={"vae": ELSEWHERE}),
)
MOMENT = Moment(3, 20, (0.9, 0.85), (1, 32, 2, 3, 4), "bfloat16")


@pytest.mark.parametrize("message", [SUBJECT, MOMENT, Answer(1.5, 0.25), Answer(1.5, 0.25, "no room")], ids=repr)
def test_each_message_is_one_line_and_read_back_as_it_was(message: Subject | Moment | Answer):
    line = message.to_json()
    assert "\n" not in line
    assert type(message).from_json(line) == message


@pytest.mark.parametrize("line", ["", "{}", "[]", "7", '{"cpu_s": 1}', '{"cpu_s": [], "last_cpu_s": 1, "fault": ""}'])
def test_what_is_no_answer_is_a_value_error(line: str):
    with pytest.raises(ValueError, match=r"something else than an answer|Expecting value"):
        Answer.from_json(line)
