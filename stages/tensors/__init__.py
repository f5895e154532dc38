"""Files of tensors (safetensors): dtypes, headers, artifacts' tensors and checkpoints' weights; and a check of values.

Begin with files.py.
"""
