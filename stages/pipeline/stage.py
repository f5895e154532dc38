"""What a stage's declaration says: its parameters, what it reads and makes, and by which program."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from stages.keys import FROM_FILE, JsonValue
from stages.pipeline.component import Component
from stages.pipeline.contract import Contract
from stages.pipeline.rules import Table

# Programs on one device are never in memory at the same time: they would compete for it.
HOST, ACCELERATOR = "host", "accelerator"
DISK = "disk"  # of a program that only copies a file, and makes no other one leave


@dataclass(frozen=True)
class Program:
    """What makes nodes, in a process of its own.

    Attributes:
        package: whose module `edge` does the work; also what identifies the code.
        device: HOST, ACCELERATOR or DISK.
        joins_hosts: whether the programs of several hosts make one node together (stages/machine/host_protocol.py).
        cpus: processors of a host that one of its processes takes in a fleet (stages/fleet/needs.py).
        has_weights_on_host: whether it has the weights of its components in the memory of its host.
    """

    package: str
    device: str
    joins_hosts: bool = False
    cpus: int = 1
    has_weights_on_host: bool = False

    @property
    def name(self) -> str:
        """What people see, and how the logs are named."""
        return self.package.rpartition(".")[2]


def command_of(package: str) -> str:
    """How a person starts a program by hand: those of this package are commands themselves."""
    return f"python -m {package}" if package.startswith("stages.") else f"python -m stages.run {package}"


@dataclass(frozen=True)
class Choice:
    """Programs of which the value of a parameter chooses one."""

    parameter: str
    programs: Mapping[str, Program]


def _nothing_missing(_parameters: Mapping[str, JsonValue]) -> str | None:
    return None


@dataclass(frozen=True)
class Stage:
    """A stage as all others see it.

    Attributes:
        name: of the stage, of its table of parameters, and of its group of tasks.
        summary: what it does, for `doit list`.
        parameters: its table; defaults and rules.
        reads: what it is made from; each is taken from the nearest stage before it that makes it.
        makes: what its artifact holds.
        components: of the checkpoint, those that it reads, and no others.
        program: what makes its nodes, or the choice among several.
        file_program: what makes a node in its place from a file that another tool made; None where that cannot be.
        explain_missing: what is not installed that a node with these parameters needs, and how to install it;
            None when all is there. Looks for files; nothing is imported.
    """

    name: str
    summary: str
    parameters: type[Table]
    reads: tuple[Contract, ...]
    makes: Contract
    program: Program | Choice
    components: tuple[Component, ...] = ()
    file_program: Program | None = None
    explain_missing: Callable[[Mapping[str, Any]], str | None] = _nothing_missing

    def program_of(self, parameters: Mapping[str, JsonValue]) -> Program:
        """What makes a node with these parameters of a key."""
        if self.file_program is not None and self.is_from_file(parameters):
            return self.file_program
        if isinstance(self.program, Choice):
            return self.program.programs[str(self.complete(parameters)[self.program.parameter])]
        return self.program

    def is_from_file(self, parameters: Mapping[str, JsonValue]) -> bool:
        """Whether a file from elsewhere takes the place of the result of a node with these parameters of a key."""
        return self.file_program is not None and FROM_FILE in parameters

    def complete(self, parameters: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
        """What the program of such a node computes by: also the parameters that the key leaves out as neutral."""
        return parameters if self.is_from_file(parameters) else self.parameters.complete(parameters)

    def find_missing(self, parameters: Mapping[str, JsonValue]) -> str | None:
        """What is not installed that a node with these parameters of a key needs, and how to install it, or None."""
        return None if self.is_from_file(parameters) else self.explain_missing(self.complete(parameters))

    def choice_of(self, parameters: Mapping[str, JsonValue]) -> JsonValue:
        """The value that chose the program of such a node; None where there is no choice."""
        if self.is_from_file(parameters) or not isinstance(self.program, Choice):
            return None
        return self.complete(parameters)[self.program.parameter]

    @property
    def programs(self) -> tuple[Program, ...]:
        """All that can make its nodes, each once."""
        own = self.program.programs.values() if isinstance(self.program, Choice) else (self.program,)
        from_file = () if self.file_program is None else (self.file_program,)
        return tuple(dict.fromkeys((*own, *from_file)))
