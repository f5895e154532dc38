"""Files of tensors (safetensors): dtypes, headers, reading and writing, weights; and the check that values are numbers.

Begin with files.py.
"""
