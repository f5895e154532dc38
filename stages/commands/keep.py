"""`doit keep`: chosen videos of a sweep, each as a file of its own."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.commands.command_line import DEBUG, read_overrides
from stages.commands.store_command import StoreCommand
from stages.commands.work_done import print_work
from stages.errors import ParamsError
from stages.machine.new_file import write_new_file
from stages.pipeline.toml_text import read_toml_text
from stages.request.kept import keep_combination
from stages.request.layers import VIDEO_FILES
from stages.request.names import near
from stages.request.params import find_fault_of_name
from stages.run.build import Build
from stages.store.root_folder import require_writable
from stages.store.sweep_numbers import SweepNumbers


@dataclass(frozen=True)
class _Kept:
    """A video of a sweep that gets a file, and the file's name."""

    video: str
    sweep: str
    name: str

    @property
    def file(self) -> str:
        return f"{VIDEO_FILES}{self.name}.toml"


class Keep(StoreCommand):
    """Writes files below params/videos/, and nothing else."""

    doc_purpose = "write chosen videos of a sweep as files of their own"
    doc_usage = "VIDEO[=NAME] ..."
    doc_description = """\
Each becomes a file in params/videos/: that of its sweep, without the table [sweep] and with the values of this one. As
all parameters are equal, it shares everything that has been made. It keeps its name, which the sweep then leaves to it
(the line `kept_from` says so), unless another is given. No file is replaced.

Examples:
doit keep harbour-3
doit keep harbour-3=harbour-final harbour-7=harbour-blue
"""
    cmd_options = (DEBUG,)
    takes_drafts = False
    takes_names = True
    interrupted = "What was written before stays."

    def read_overrides(self) -> Mapping[str, str]:
        """As typed, without `VIDEO=NAME`."""
        return {name: text for name, text in read_overrides().items() if "." in name}

    def act(self, build: Build, options: Mapping[str, Any], names: Sequence[str]) -> int:  # noqa: ARG002
        """Write all of them, or none where something is wrong; the exit code."""
        renamed = {name: text for name, text in read_overrides().items() if "." not in name}
        videos = [video for name in names for video in build.graph.sweeps.get(name, (name,))]
        wanted = {**dict.fromkeys(videos), **renamed}
        if not wanted:
            raise ParamsError("doit keep: name videos of a sweep. `doit list` shows what there is.")
        chosen = [_choose(build, video, name) for video, name in wanted.items()]
        texts = {each: _text_of(build, each) for each in chosen}
        _check_files(build, chosen)
        if build.new_numbers:  # what has a file of its own keeps its number in the sweep
            require_writable(build.store.root)
            SweepNumbers(build.store.root).add(build.new_numbers)
        _write_all({build.root / kept.file: text for kept, text in texts.items()})

        def report() -> None:
            for kept in chosen:
                print(f"{kept.video}: written to {kept.file}. It shares all that has been made of it.")

        return int(not print_work(report, f"written: {', '.join(kept.file for kept in chosen)}"))


def _choose(build: Build, video: str, name: str | None) -> _Kept:
    """What a name means. Raises StagesError: no video of a sweep, or one that cannot be made."""
    for sweep, videos in build.graph.sweeps.items():
        if video in videos:
            if video in build.graph.faults:
                raise build.graph.faults[video]
            return _Kept(video, sweep, video if name is None else name)
    if video in build.graph.faults:
        raise build.graph.faults[video]
    if video in build.graph.sweeps:
        raise ParamsError(f"{video}={name}: is a sweep, and a file is one video. Name one, such as `{video}-1={name}`.")
    if video in build.graph.videos:
        raise ParamsError(f"{video}: has a file of its own already, {VIDEO_FILES}{video}.toml.")
    known = [each for videos in build.graph.sweeps.values() for each in videos]
    raise ParamsError(f"{video}: no such video of a sweep.{near(video, known)} `doit list` shows what there is.")


def _check_files(build: Build, chosen: Sequence[_Kept]) -> None:
    """Raise ParamsError unless each file can have its name, and none is there already."""
    tables = {"model", *build.pipeline.names}
    of_sweeps = {video for videos in build.graph.sweeps.values() for video in videos}
    faults, taken = [], set()
    for kept in chosen:
        if fault := find_fault_of_name(kept.name, tables):
            faults.append(f"{kept.video}={kept.name}: {fault}")
        elif (build.root / kept.file).exists() or (build.root / kept.file).is_symlink():
            faults.append(
                f"{kept.file}: is there already, and stays as it is. Give {kept.video} another name: `doit "
                f"keep {kept.video}=NAME`."
            )
        elif kept.name in taken:
            faults.append(f"{kept.name}: is given to two videos. Give each a name of its own.")
        elif kept.name != kept.video and kept.name in of_sweeps | build.graph.sweeps.keys():
            faults.append(f"{kept.video}={kept.name}: is the name of another video. Give it a name of its own.")
        taken.add(kept.name)
    if faults:
        raise ParamsError("\n  ".join(faults))


def _write_all(texts: Mapping[Path, str]) -> None:
    """Write new files. Raises ParamsError: one of them cannot be written; then none is left."""
    written: list[Path] = []
    for path, text in texts.items():
        try:
            write_new_file(path, text)
        except OSError as error:
            for each in written:
                with suppress(OSError):
                    each.unlink()
            raise ParamsError(
                f"{VIDEO_FILES}{path.name}: cannot be written ({error.strerror}), so no file was. Fix that and run it "
                "again."
            ) from error
        written.append(path)


def _text_of(build: Build, kept: _Kept) -> str:
    """The text of its file. Raises ParamsError: that of the sweep cannot be read any more."""
    file = f"{VIDEO_FILES}{kept.sweep}.toml"
    try:
        text = read_toml_text(build.root / file)
        kept_from = kept.sweep if kept.name == kept.video else ""
        return keep_combination(text, build.graph.sweeps[kept.sweep][kept.video], kept_from=kept_from)
    except (OSError, ValueError) as error:
        raise ParamsError(f"{file}: has been changed just now ({error}). Run it again.") from error
