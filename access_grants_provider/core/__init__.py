"""The decisions: standard library and ``botocore.exceptions`` only, no I/O; clocks are passed in."""
