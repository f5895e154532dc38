"""A store that several machines share, on object storage: what it has, how it is fetched, how what is made goes there.

Begin with remote.py.
"""
