"""`doit inspect`: what made a file, an artifact or a video."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.commands.command_line import DEBUG
from stages.commands.file_argument import MACHINE, read_file_argument
from stages.commands.store_command import JSON, StoreCommand
from stages.errors import ParamsError
from stages.provenance.code import CodeHere
from stages.provenance.project import open_project
from stages.provenance.show import to_json, to_text
from stages.provenance.sources import find_record


class Inspect(StoreCommand):
    """Prompt, parameters, model, code and versions, read back."""

    doc_purpose = "say what made a file: prompt, parameters, model, code, versions"
    doc_usage = "FILE|FOLDER|TASK|KEY|VIDEO [--json]"
    doc_description = """\
A video (mp4) says itself what made it, wherever it lies and whatever it is called: prompt, and of each stage its
parameters, the identities of what it read of the model, its key and the fingerprint of its code. Embeddings, latents
and frames do not; they are recognised by their bytes where they lie in a store, or in that of this project. A store
also has the versions of libraries, the device and the time. A manifest.json, an artifact's folder, its task
(decode:3f9ac1d2e0b4), its key, or a video that has been made can be named as well.

Examples:
doit inspect ~/downloads/night.mp4
doit inspect demo --json
doit inspect decode:3f9ac1d2e0b4
"""
    cmd_options = (JSON, DEBUG)
    takes_names = True
    takes_files = 1
    interrupted = "Nothing was changed."

    def answer(self, options: Mapping[str, Any], names: Sequence[str]) -> int:
        """Print it; 0."""
        name, overrides = read_file_argument("inspect", names)
        for dotted, value in overrides.items():
            if not dotted.startswith(MACHINE):
                raise ParamsError(
                    f"doit inspect: {dotted}={value}: says what was made, and changes nothing. `doit from FILE "
                    f"{dotted}={value}` writes a video that differs in it."
                )
        project = open_project(Path.cwd(), overrides)
        record, code = find_record(name, project), CodeHere(project)
        if options["json"]:
            print(json.dumps(to_json(record, code.of), indent=2))
        else:
            print(to_text(record, code.of), end="")
        return 0
