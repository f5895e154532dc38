"""The program that takes a file from elsewhere in place of a stage's result: docs/decisions/0010."""

from typing import Final

from stages.pipeline.stage import DISK, Program

FROM_FILE_PROGRAM: Final = Program("stages.from_file", DISK)
