"""What computes: devices, chips, hosts and compiled programs; what is installed, and how much memory there is.

Begin with devices.py; a slice of several hosts begins with host_protocol.py.
"""
