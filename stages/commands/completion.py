"""`doit tabcompletion`: a script for bash or zsh."""

import io
from typing import Any, Final

from doit.cmd_completion import TabCompletion as DoitTabCompletion

from stages.commands.faulty import is_faulty
from stages.commands.one_message import OneMessage

# What doit's script takes from the package bash-completion, for a bash without it.
_WITHOUT_PACKAGE: Final = r"""
if ! type _get_comp_words_by_ref &> /dev/null; then
    COMP_WORDBREAKS=${COMP_WORDBREAKS//:}  # names of tasks have colons
    _get_comp_words_by_ref() {
        words=("${COMP_WORDS[@]}")
        cword=$COMP_CWORD
        cur=${words[cword]}
        prev=${words[cword - 1]}
    }
    __ltrim_colon_completions() { :; }
    _filedir() { COMPREPLY=( $(compgen -f -- "$cur") ); }
fi
"""
# After these commands a word is a file's name; doit's script knows tasks alone.
_CASES: Final = "    case ${words[1]} in\n"
_FILES: Final = """\
    case ${words[1]} in
        inspect|from|diff)
            _filedir
            return 0
            ;;
    esac
"""


class TabCompletion(OneMessage, DoitTabCompletion):  # type: ignore[misc] # doit has no types
    """As doit's own, but the script needs no package besides bash, and any text may stand in a task's description."""

    is_read_only = True
    loader: Any  # doit's, as the next
    outstream: Any

    def __init__(self, **options: Any) -> None:
        """As doit's."""
        super().__init__(**options)
        self.loader = _ForShells(self.loader)

    def _generate_bash(self, opt_values: Any, pos_args: list[str]) -> None:
        outstream, self.outstream = self.outstream, io.StringIO()
        super()._generate_bash(opt_values, pos_args)
        script = self.outstream.getvalue()
        self.outstream = outstream
        self.outstream.write(script.replace(_CASES, f"{_FILES}{_CASES}", 1) + _WITHOUT_PACKAGE)


class _ForShells:
    """A loader whose tasks can be written into a script as they are."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def load_tasks(self, cmd: Any, pos_args: list[str]) -> list[Any]:
        tasks = [task for task in self._loader.load_tasks(cmd, pos_args) if not is_faulty(task)]
        for task in tasks:
            task.doc = task.doc.replace("'", r"'\''")  # in zsh's single quotes
        return tasks
