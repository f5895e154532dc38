"""Files of tensors (safetensors): headers, reading, writing; and the check that values are numbers.

Begin with files.py.
"""
