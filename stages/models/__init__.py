"""Checkpoints: where they are, what identifies them, their settings and weights; those that ship with the package.

Begin with checkpoint.py; hub.py is what it knows of the Hugging Face hub.
"""
