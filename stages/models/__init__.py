"""Checkpoints: where they are, what identifies them, their settings and weights; those that ship with the package.

Begin with checkpoint.py; hub.py knows the Hugging Face hub, settings.py the JSON files of components.
"""
