"""Files from elsewhere in declarations."""

from stages.keys import FROM_FILE
from stages.pipeline.from_file import FROM_FILE_PROGRAM
from stages.pipeline.stages import STAGES


def test_a_stage_takes_files_where_its_table_names_them():
    for stage in STAGES:
        assert (stage.file_program is not None) == (FROM_FILE in stage.parameters.model_fields)


def test_a_program_that_copies_a_file_makes_no_model_leave():
    assert FROM_FILE_PROGRAM.device not in {
        program.device for stage in STAGES for program in stage.programs if program != FROM_FILE_PROGRAM
    }
