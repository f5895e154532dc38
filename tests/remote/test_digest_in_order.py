"""The digest of a file whose parts come in any order."""

import os
import random
from pathlib import Path

from stages.keys import digest_bytes
from stages.remote.digest_in_order import DigestInOrder
from stages.remote.shared_file import SharedFile

CONTENT = bytes(range(256)) * 4000  # more than is read at once
SIZES = [300_000, 1, 700_000, len(CONTENT) - 1_000_001]


def test_in_whatever_order_parts_come_the_digest_is_that_of_the_file(tmp_path: Path):
    (tmp_path / "file").write_bytes(CONTENT)
    draw = random.Random(1)  # noqa: S311 (which order, is no secret)
    for _ in range(10):
        order = draw.sample(range(len(SIZES)), len(SIZES))
        with SharedFile(tmp_path / "file", os.O_RDONLY) as file:
            digest = DigestInOrder(file, SIZES)
            digest.add(order[:2])
            for index in order[2:]:
                digest.add([index])
            assert digest.finish() == digest_bytes(CONTENT)


def test_a_part_is_read_only_when_all_before_it_are_there(tmp_path: Path):
    (tmp_path / "file").write_bytes(bytes(len(CONTENT)))
    with SharedFile(tmp_path / "file", os.O_RDWR) as file:
        digest = DigestInOrder(file, SIZES)
        digest.add([1, 2, 3])
        file.write_at(0, CONTENT)
        digest.add([0])
        assert digest.finish() == digest_bytes(CONTENT)


def test_of_a_file_that_was_cut_it_is_another(tmp_path: Path):
    (tmp_path / "file").write_bytes(CONTENT[:-1])
    with SharedFile(tmp_path / "file", os.O_RDONLY) as file:
        digest = DigestInOrder(file, SIZES)
        digest.add(range(len(SIZES)))
        assert digest.finish() == digest_bytes(CONTENT[:-1])
