"""What hooks into botocore and aiobotocore, or calls AWS through them."""
