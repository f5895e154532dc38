"""Which source files of a program have changed since an artifact was made, by the digests in its run.json."""

from collections.abc import Mapping
from pathlib import Path, PurePath

from stages.keys import Digest, short
from stages.machine.json_files import read_json
from stages.run.fingerprint import Fingerprinter
from stages.store.usage import run_file
from stages.store.verdict import Reason

_SOURCES = "sources"  # in run.json (stages/run/job.py)
_PACKAGE = "stages"  # left out in front of a file of this project
CODE = "code."  # how the field of such a reason begins; what follows is the file


def find_changed_files(folder: Path, package: str, fingerprinter: Fingerprinter) -> tuple[Reason, ...]:
    """A reason per file that is another one, is new, or is gone; none where run.json does not say what there was.

    Args:
        folder: of the artifact.
        package: of the program that makes it.
        fingerprinter: looks at the present files.
    """
    before = _read_sources(folder)
    if before is None:
        return ()
    now = {module: short(digest) for module, digest in fingerprinter.digests(package).items()}
    changed = [module for module in sorted({*before, *now}) if before.get(module) != now.get(module)]
    files = fingerprinter.find_sources(package)
    return tuple(
        Reason(f"{CODE}{_name_file(module, files.get(module))}", before.get(module), now.get(module))
        for module in changed
    )


def _read_sources(folder: Path) -> Mapping[str, Digest] | None:
    """Digests by module; None where the file does not say them."""
    try:
        sources = read_json(run_file(folder))[_SOURCES]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    is_right = isinstance(sources, dict) and all(isinstance(value, str) for value in sources.values())
    return {str(module): Digest(digest) for module, digest in sources.items()} if is_right and sources else None


def _name_file(module: str, path: Path | None) -> str:
    """A module's file as people know it, such as "denoise/attention/splash.py"."""
    parts = module.split(".")
    parts = parts[1:] if parts[0] == _PACKAGE and len(parts) > 1 else parts
    is_package = path is not None and path.stem == "__init__"
    return f"{PurePath(*parts)}/__init__.py" if is_package else f"{PurePath(*parts)}.py"
