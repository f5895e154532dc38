"""How drafts are named on a command line: as their links are, `demo.draft`. No video's name has a dot."""

from collections.abc import Sequence

from doit.cmdparse import CmdParseError

from stages.request.draft import DRAFT_SUFFIX


def read_draft_names(names: Sequence[str], command: str, *, takes_drafts: bool) -> tuple[list[str], bool]:
    """The names of what is meant, and whether it is their drafts: parameters are read for all videos or all drafts.

    Args:
        names: as they were typed, such as "demo.draft".
        command: that they were typed for, for messages.
        takes_drafts: whether it takes drafts.
    Raises:
        CmdParseError: it does not, or videos and drafts are named together.
    """
    drafts = [name for name in names if name.endswith(DRAFT_SUFFIX) and name != DRAFT_SUFFIX]
    if not drafts:
        return [*names], False
    if not takes_drafts:
        raise CmdParseError(f"{drafts[0]}: a draft, and `doit {command}` takes none. `doit help {command}` says more.")
    if others := [name for name in names if name not in drafts]:
        raise CmdParseError(
            f"{drafts[0]}: a draft, and {others[0]} is none. Name drafts and others in commands of their own."
        )
    return [name.removesuffix(DRAFT_SUFFIX) for name in names], True
