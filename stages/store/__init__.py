"""What has been made: artifacts, their manifests, drafts, and the links by which people find videos.

Begin with artifacts.py.
"""
