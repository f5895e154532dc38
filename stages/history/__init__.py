"""What earlier runs took, by the run.json files of a store, and what runs to come can be expected to take.

Read first: runs.py. Knows nothing of what is asked for (stages/request) or of how it is made (stages/run).
"""
