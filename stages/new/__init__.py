"""`python -m stages.new FOLDER`: a project of one's own, whose tasks and commands come from this package.

What it gets is in template/; begin with folder.py.
"""
