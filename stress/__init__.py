"""Soak and fuzz: load and hostile input, on this machine alone."""
