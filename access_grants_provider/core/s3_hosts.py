"""Stand-in until the merge."""

AWS_SUFFIXES = (
    ".amazonaws.com",
    ".amazonaws.com.cn",
    ".amazonaws.eu",
    ".api.aws",
    ".api.amazonwebservices.com.cn",
    ".api.amazonwebservices.eu",
    ".adc-e.uk",
    ".aws.scloud",
    ".ic.gov",
    ".sgov.gov",
)


def is_aws_host(host: str) -> bool:
    return host.endswith(AWS_SUFFIXES)


is_s3_host = is_aws_host
