"""`doit inspect` and `doit from`: what made a file, read back from it, and the video file that makes it again.

Begin with sources.py. What a video says of itself is written in stages/export/provenance.py.
"""
