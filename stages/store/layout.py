"""Names of the folders in a store that are no stage's. What lies in each is said where it is written."""

from typing import Final

DRAFTS: Final = ".drafts"  # artifacts and states that are being written (drafts.py)
LEASES: Final = ".leases"  # who makes what (leases.py)
PARTIAL: Final = "partial"  # states of nodes that are being made (partial.py)
PINS: Final = "pins"  # what people want kept (pins.py)
VIDEOS: Final = "videos"  # links to the newest choice of each video (video_links.py)
EARLIER: Final = ".earlier"  # what these links led to before (link_history.py)
LOGS: Final = "logs"  # what the stages' processes printed
REMOTE: Final = ".remote"  # what is being fetched, and what was refused (stages/remote)
REFUSED: Final = f"{REMOTE}/refused"  # payloads that were not what their manifests said
PREVIEWS: Final = "previews"  # what denoises are about to become (previews.py)
POSTERS: Final = "posters"  # pictures of finished videos (posters.py)
REPORT: Final = "report"  # pages that show what has been made (stages/report/)
ANSWERS: Final = "preflight"  # answers of `doit preflight`: artifacts of no video, with a limit of their own
# Those whose names could be a stage's.
NO_STAGES: Final = frozenset({PARTIAL, PINS, VIDEOS, LOGS, PREVIEWS, POSTERS, REPORT, ANSWERS})
