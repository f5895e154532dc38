"""What differs between two videos: what made them, and their frames.

Begin with comparison.py. Frames are measured in a process of its own (frames.py, filters.py); gate.py compares with the
code of another git revision.
"""
