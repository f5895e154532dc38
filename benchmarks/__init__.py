"""Measurements that anyone can rerun. Each prints what it measured and how."""
