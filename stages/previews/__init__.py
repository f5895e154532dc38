"""Previews: pictures of what a denoise is about to become, made beside it in a process of their own.

Read first: `stages/previews/service.py`.
"""
