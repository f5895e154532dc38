"""What the next run would make, why, and at what cost: `doit explain`. Nothing is made, and the store stays as it is.

Read first: explanation.py.
"""
