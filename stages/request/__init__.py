"""What is asked for: parameters, their layers, sweeps and drafts, and the graph of nodes.

Begin with params.py.
"""
