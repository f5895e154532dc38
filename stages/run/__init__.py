"""How it is made: the build, its processes, one job, what identifies the code, and what is shown meanwhile.

Begin with build.py.
"""
