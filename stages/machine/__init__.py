"""What computes: devices, chips, hosts, compiled programs; what is installed, and how much memory there is."""
