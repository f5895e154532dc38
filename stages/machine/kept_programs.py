"""The folder of compiled programs in a store, for those who only look at its size: it is read without JAX.

executables.py decides what is kept there.
"""

from pathlib import Path

from stages.machine.private_folder import open_private

FOLDER = ".executables"  # in a store's root
MAX_BYTES = 4 * 2**30  # of all files together; the least recently used are deleted first


def trim_programs(
    store: Path, max_bytes: int | None, *, used_since_ns: int = 0, is_dry_run: bool = False
) -> dict[str, int]:
    """Delete the least recently used programs beyond a limit; the files, each with its bytes.

    A process that uses one has read all of it, and loses nothing.

    Args:
        store: the store's root.
        max_bytes: of those that stay; None: any number.
        used_since_ns: what was not used since then, in nanoseconds since 1970, does not stay.
        is_dry_run: whether they are only found.
    Raises:
        StoreError: the folder is another user's, or not closed to others.
        OSError: it cannot be read, or a file cannot be deleted.
    """
    if not (store / FOLDER).is_dir():
        return {}
    with open_private(store / FOLDER) as folder:
        found = folder.find_excess(max_bytes, used_since_ns=used_since_ns)
        if not is_dry_run:
            folder.delete(found)
    return found
