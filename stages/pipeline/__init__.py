"""What the stages are: their contracts, parameters and programs. Nothing here computes or runs anything.

Begin with contract.py.
"""
