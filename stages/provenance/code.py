"""The code that would make an artifact again in this project, by its fingerprint."""

from stages.errors import ParamsError
from stages.keys import Digest, Node
from stages.provenance.project import Project
from stages.provenance.record import Made
from stages.run.fingerprint import Fingerprinter
from stages.store.stat_cache import STAT_CACHE, StatCache


class CodeHere:
    """Fingerprints of a project's programs, each found once. Nothing is written."""

    def __init__(self, project: Project) -> None:
        """Nothing is read yet."""
        self._pipeline = project.pipeline
        self._store = project.store
        self._fingerprinter = Fingerprinter(StatCache(project.store.root / STAT_CACHE))

    def of(self, made: Made) -> Digest | None:
        """That of the program for such a node; None where the project has no such stage or program."""
        if made.stage not in self._pipeline.names:
            return None
        try:
            program = self._pipeline[made.stage].program_of(made.parameters)
        except (KeyError, ParamsError):  # a decoder that this version does not have
            return None
        return self._fingerprinter.fingerprint(program.package)

    def is_fresh(self, node: Node) -> bool:
        """Whether the store has what a node is to become. Raises StoreError: that cannot be known."""
        code = self._fingerprinter.fingerprint(self._pipeline.program_of(node).package)
        return self._store.verdict(node, code).is_fresh
