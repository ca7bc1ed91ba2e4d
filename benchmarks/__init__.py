"""Measurements of access_grants_provider beside plain boto3 and the official plugin."""
