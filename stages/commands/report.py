"""`doit report`: pages that show what has been made."""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.commands.command_line import DEBUG
from stages.commands.store_command import StoreCommand
from stages.errors import ParamsError, StoreError
from stages.machine.printable import printable
from stages.machine.regular_files import reason_of
from stages.report.gathering import gather
from stages.report.ratings import FILE, read_ratings
from stages.report.server import HOST, serving
from stages.report.site import one_at_a_time, write_site
from stages.run.build import Build

_MAX_PORT = 65535


class Report(StoreCommand):
    """Writes a folder of pages into the store; serves it where that is asked for."""

    doc_purpose = "write pages that show what has been made, side by side"
    doc_usage = "[--serve [--port N]]"
    doc_description = """\
Writes artifacts/report/, a folder of pages that opens from disk, or from any web server that it is copied to: a wall
of all videos that artifacts/videos/ leads to, drafts beside finals, and of those that are not made yet, with their
state and preview; each sweep as a grid; a page for each video, with its parameters and what made it; and a comparison
of two to six videos, locked to the frame. Written again, only what has changed is.

Ratings and notes stand in ratings.json of the project, which belongs in version control. With --serve the pages write
them there; without, a browser keeps them and exports that file.

Examples:
doit report
doit report --serve --port 8080
"""
    cmd_options = (
        {
            "name": "serve",
            "short": "",
            "long": "serve",
            "type": bool,
            "default": False,
            "help": "serve it on this machine alone, until Ctrl-C",
        },
        {
            "name": "port",
            "short": "",
            "long": "port",
            "type": str,
            "default": "",
            "help": "of --serve; any that is free if it is left out",
        },
        DEBUG,
    )
    interrupted = "Run it again: what was written stays."

    def act(self, build: Build, options: Mapping[str, Any], names: Sequence[str]) -> int:  # noqa: ARG002 (takes none)
        """Write it, and serve it if asked to; 0."""
        port = _read_port(options["port"], is_served=options["serve"])
        start = time.monotonic()
        ratings = read_ratings(build.root)
        try:
            with one_at_a_time(build.store.root) as folder:
                shown = gather(build)
                written = write_site(folder, shown, ratings, build.store.root)
        except OSError as error:
            raise StoreError(
                f"{error.filename or build.store.root}: {reason_of(error)}, so the report cannot be written. Fix that, "
                "and run `doit report` again."
            ) from error
        for fault in shown.faults:
            print(f"warning: {printable(fault)}", file=sys.stderr)
        count = len(shown.videos)
        what = f"{count:,} video{'' if count == 1 else 's'}"
        if shown.unmade:
            what += f", {len(shown.unmade):,} not made yet"
        files = "file" if written.num_written == 1 else "files"
        changes = f"{written.num_written:,} {files} written, {written.num_kept:,} as they were"
        took_s = time.monotonic() - start
        print(f"{os.path.relpath(folder)}/index.html: {what}; {changes}, in {took_s:.1f} s")
        return _serve(folder, build.root, port) if options["serve"] else 0


def _read_port(text: str, *, is_served: bool) -> int:
    if not text:
        return 0
    if not is_served:
        raise ParamsError(f"doit report: --port {text}: is of --serve. Add that, or leave it out.")
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= _MAX_PORT:
        raise ParamsError(f"doit report: --port {text}: must be a number from 1 to {_MAX_PORT}.")
    return int(text)


def _serve(folder: Path, project: Path, port: int) -> int:
    try:
        with serving(folder, project, port) as server:
            print(f"http://{HOST}:{server.server_port}/  (ratings go to {FILE}; Ctrl-C ends it)", flush=True)
            server.serve_forever()
    except KeyboardInterrupt:
        return 0
    except OSError as error:
        raise ParamsError(
            f"doit report: --port {port}: cannot be had ({error.strerror}). Name another one, or leave it out."
        ) from error
    return 0
