"""`python -m stages.previews`: started by stages/run/previews.py, for as long as one denoise takes."""

import os

_LAST = 19  # of all who want a processor: this one gets what the denoise leaves

os.nice(_LAST)
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # which numpy reads when it is imported

from stages.previews.service import main  # noqa: E402 (after what it is to find)

main()
