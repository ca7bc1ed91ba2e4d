"""What it costs, measured beside plain boto3 and the official plugin: ``python -m benchmarks``."""
