"""What a declaration says: which program makes a node."""

from stages.pipeline.contract import Contract
from stages.pipeline.rules import Table
from stages.pipeline.stage import ACCELERATOR, DISK, HOST, Choice, Program, Stage, command_of

FAST, EXACT, COPY = Program("pack.fast", ACCELERATOR), Program("pack.exact", HOST), Program("pack.copy", DISK)


def build_stage(program: Program | Choice, **fields: object) -> Stage:
    return Stage("s", "", Table, reads=(), makes=Contract("x", "x.bin"), program=program, **fields)  # type: ignore[arg-type]


def test_one_program_makes_all_nodes():
    stage = build_stage(FAST)
    assert stage.program_of({"from_file": "0" * 32, "kind": "exact"}) == FAST
    assert stage.choice_of({"kind": "exact"}) is None


def test_a_parameter_chooses_among_programs():
    stage = build_stage(Choice("kind", {"fast": FAST, "exact": EXACT}))
    assert stage.program_of({"kind": "exact"}) == EXACT
    assert stage.choice_of({"kind": "exact"}) == "exact"


def test_a_file_from_elsewhere_is_taken_by_a_program_of_its_own():
    stage = build_stage(FAST, file_program=COPY)
    assert stage.program_of({"from_file": "0" * 32}) == COPY
    assert stage.program_of({}) == FAST


def test_each_program_is_listed_once():
    stage = build_stage(Choice("kind", {"fast": FAST, "quick": FAST, "exact": EXACT}), file_program=COPY)
    assert stage.programs == (FAST, EXACT, COPY)


def test_a_program_is_started_by_its_package():
    assert FAST.name == "fast"
    assert command_of("stages.decode") == "python -m stages.decode"
    assert command_of("brighten") == "python -m stages.run brighten"
