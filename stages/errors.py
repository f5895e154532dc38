"""The errors a user can meet. Each message says what is wrong, where, and how to fix it."""


class StagesError(Exception):
    """Base of all errors that are shown to the user as one message, without a traceback."""


class ParamsError(StagesError):
    """A parameter file or a command-line override is wrong."""


class CheckpointError(StagesError):
    """A model checkpoint is missing, incomplete or of another architecture."""


class StoreError(StagesError):
    """An artifact in the store cannot be read or written."""


class UnreadableError(StoreError):
    """A file in the store cannot be read at present; it may be whole, and nothing is made again because of it."""

    def __init__(self, path: object, error: OSError) -> None:
        """`path` names the file, and `error` is why."""
        super().__init__(f"{path}: cannot be read ({error.strerror or error}). Fix that and run it again.")


class RemoteError(StagesError):
    """A remote store does not do what was asked of it."""


class FleetError(StagesError):
    """The Ray cluster on which nodes are to be made cannot be used."""


class BeingCollectedError(StagesError):
    """What was to be pushed is just being deleted on the remote store; it can be pushed when that is over."""


class ProjectError(StagesError):
    """The folder of a project cannot be made, or is none."""


class InstallationError(StagesError):
    """The code that runs is not that of the project."""


class ContractError(StagesError):
    """A file passed between two stages does not hold what the contract says."""


class MeshError(StagesError):
    """The devices at hand cannot be arranged as asked."""


class StageError(StagesError):
    """A stage has no result: its process ended, or it cannot or may not do what was asked."""


class EndedError(StageError):
    """The process of a stage has ended in the middle of a job."""
