"""From what is known of a video to the tables of parameters that make it again: the way back from keys.

Says what the present stages cannot take over, in lines that name each of it.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from stages.keys import FROM_FILE, JsonValue
from stages.machine.printable import cut
from stages.pipeline.stages import Pipeline
from stages.provenance.record import Made, Record

_MAX_SHOWN = 200  # characters of a value in a line


@dataclass
class ReadTables:
    """The tables of a video.

    Attributes:
        values: by stage and name.
        files: of stages whose result was a file from elsewhere, the XXH3-128 of that file.
        faults: what this version of the project does not know, or the record does not say; a line each.
    """

    values: dict[str, Mapping[str, JsonValue]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def ask_for_files(self) -> Iterator[tuple[str, str]]:
        """The parameter that has to name each of `files`, and a line that says so."""
        for stage, digest in self.files.items():
            place = f"{stage}.{FROM_FILE}"
            yield (
                place,
                f"{place}: the video was made from a file whose XXH3-128 is {digest}, and does not say where that is. "
                f"Name it: `{place}=FILE`",
            )


def read_tables(record: Record, pipeline: Pipeline) -> ReadTables:
    """The values of each stage's parameters by which a record's artifact was made."""
    found = ReadTables()
    for artifact in record.missing:
        found.faults.append(f"{artifact.stage}: nothing is known of it but its key, {artifact.key}")
    for made in record.made:
        if made.stage not in pipeline.names:
            found.faults.append(f"{made.stage}: this project has no such stage")
        elif pipeline[made.stage].is_from_file(made.parameters):
            found.files[made.stage] = str(made.parameters[FROM_FILE])
        else:
            found.values[made.stage] = _read_table(made, pipeline, found.faults)
    return found


def _read_table(made: Made, pipeline: Pipeline, faults: list[str]) -> Mapping[str, JsonValue]:
    read = pipeline[made.stage].parameters.read_key_parameters(made.parameters)
    for name in read.unknown:
        faults.append(f"{made.stage}.{name} = {_show(made.parameters[name])}: this version has no such parameter")
    for name in read.missing:
        faults.append(f"{made.stage}.{name}: this version has this parameter, and the video was made without it")
    return read.values


def _show(value: JsonValue) -> str:
    return cut(json.dumps(value, ensure_ascii=False), _MAX_SHOWN)
