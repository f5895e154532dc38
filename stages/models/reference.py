"""How parameters name a checkpoint or one component, and its revision on the hub: for messages that say what to set.

The revision of a checkpoint has a parameter of its own; that of a component stands behind the @ of its hub id.
"""

from dataclasses import dataclass

CHECKPOINT, _REVISION = "model.checkpoint", "model.revision"
COMPONENTS = "model.components."


@dataclass(frozen=True)
class Reference:
    """A place, and the parameter that names it.

    Attributes:
        place: a folder, a hub id, or `builtin:<name>`.
        revision: branch, tag or commit of a hub id; "" for none.
        component: whose parameter it is; "" for that of the checkpoint.
        is_typed: whether the command line names it, and no file.
    """

    place: str
    revision: str = ""
    component: str = ""
    is_typed: bool = False

    @property
    def where(self) -> str:
        """The parameter and its value."""
        if not self.component:
            return f"{CHECKPOINT} = {self.place!r}"
        return f"{COMPONENTS}{self.component} = {self._at(self.revision)!r}"

    @property
    def fix(self) -> str:
        """Where a wrong place is corrected."""
        where = "on the command line" if self.is_typed else "in params/model.toml or the video's file"
        return f"Correct the path {where}."

    @property
    def where_revision(self) -> str:
        """The parameter that holds the revision, and its value."""
        return self.where if self.component else f"{_REVISION} = {self.revision!r}"

    def setting(self, revision: str) -> str:
        """What to set for another revision, as the parameter and its value."""
        if self.component:
            return f"{COMPONENTS}{self.component} = {self._at(revision)!r}"
        return f"{_REVISION} = {revision!r}"

    def _at(self, revision: str) -> str:
        return f"{self.place}@{revision}" if revision else self.place
