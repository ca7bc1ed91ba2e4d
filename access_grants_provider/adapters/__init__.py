"""S3 Access Grants for libraries that sign S3 requests outside botocore, where none of its events can reach.

One module per library, ``polars``, ``obstore``, ``duckdb`` and ``pyarrow``; import the one you need. Each asks as a
boto3 session does and uses that session's provider, its cache and its order of decisions. There is no falling back to
the caller's own credentials here: where no grant covers what is asked for, :class:`AccessDenied` is raised.
"""
