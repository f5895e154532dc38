"""What is asked for: parameters, their layers, and the graph of nodes.

Begin with params.py.
"""
