"""What a component of a checkpoint is: a folder, and which of the files in it a stage reads.

What a stage reads identifies the component in keys, is downloaded, and is all that its loader can see: other files in
the folder change nothing. Which of the names there are picked is decided in models/component_files.py; why these, in
docs/decisions/0020-components.md.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Component:
    """A component as the stages that read it declare it.

    Attributes:
        name: of its folder.
        settings: the JSON file that must be there.
        optional: files that are read where they are there.
        alternatives: sets of files of which the first whole one is read; one must be there.
        weights: what the names of its weight files begin with, before ".safetensors"; "" for none.
    """

    name: str
    settings: str = "config.json"
    optional: tuple[str, ...] = ()
    alternatives: tuple[tuple[str, ...], ...] = ()
    weights: str = ""

    @staticmethod
    def from_fields(fields: dict[str, Any]) -> "Component":
        """The inverse of `dataclasses.asdict`, after JSON."""
        alternatives = tuple(tuple(names) for names in fields["alternatives"])
        return Component(**(fields | {"optional": tuple(fields["optional"]), "alternatives": alternatives}))
