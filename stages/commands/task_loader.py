"""doit's loader of dodo.py: the first module of this project that doit loads, whatever the command."""

from doit.cmd_base import DodoTaskLoader

from stages.commands.early_interrupt import end_on_interrupt


class TaskLoader(DodoTaskLoader):  # type: ignore[misc] # doit has no types
    """doit's own. It is made first of all."""

    def __init__(self) -> None:
        """Prepares the process. From here on Ctrl-C is one line."""
        super().__init__()
        end_on_interrupt()
        from stages.commands.command_line import prepare  # noqa: PLC0415 (takes time, in which there can be a Ctrl-C)

        prepare()
