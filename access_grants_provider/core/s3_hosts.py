"""Which host names are S3's own.

A name below ``amazonaws.com`` alone says little: behind a load balancer, an EC2 instance or an endpoint service of that
domain MinIO and Ceph answer as well, and AWS does not know their credentials. The forms below rest on:

- https://docs.aws.amazon.com/general/latest/gr/s3.html, the endpoints of S3 and S3 Control.
- https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html, buckets in host names, older endpoints.
- https://docs.aws.amazon.com/AmazonS3/latest/userguide/privatelink-interface-endpoints.html, VPC endpoints.
- botocore's endpoint rules for S3 and S3 Control, whose results a test compares.
"""

from __future__ import annotations

import re
from functools import cache

__all__ = ["AWS_SUFFIXES", "is_aws_host", "is_s3_host"]

# The domains of all partitions in botocore's partitions.json; the second of a partition is for dual-stack.
AWS_SUFFIXES = (
    "amazonaws.com",
    "api.aws",
    "amazonaws.com.cn",
    "api.amazonwebservices.com.cn",
    "amazonaws.eu",
    "api.amazonwebservices.eu",
    "c2s.ic.gov",
    "api.aws.ic.gov",
    "sc2s.sgov.gov",
    "api.aws.scloud",
    "cloud.adc-e.uk",
    "api.cloud-aws.adc-e.uk",
    "csp.hci.ic.gov",
    "api.aws.hci.ic.gov",
)

# eu-west-1, us-gov-east-1, eusc-de-east-1; aws-global and the like are botocore's names for a partition as a whole.
# A first part of more letters would take in the websites of s3-website-eu-west-1, which are no API.
_REGION = r"(?: [a-z]{2,4} (?:-[a-z]+)+ -[0-9]+ | aws (?:-[a-z]+)* -global )"

# S3 alone can have a name here: the label before the region names the AWS service. A load balancer is called
# name-123.REGION.elb.…, name.elb.REGION.…; an endpoint service vpce-….vpce-svc-….REGION.vpce.…
_FORMS = rf"""
    (?: [a-z0-9_-]+ \. )*                                       # a bucket, maybe with dots; an account; an access point
    (?:
        s3 (?: -control | -accesspoint | -object-lambda | -outposts )? (?: -fips )? (?: \.dualstack )? \.{_REGION}
      | s3express (?: -control )? (?: -fips )? (?: -[a-z0-9]+ )* (?: \.dualstack )? \.{_REGION}
      | s3-accelerate (?: \.dualstack )? (?: \.{_REGION} )?
      | s3                                                      # the global endpoint
      | s3 (?: -fips )? -{_REGION}                              # older regional endpoints
      | s3-external-[0-9]
      | accesspoint \.s3-global                                 # multi-Region access points
      | vpce-[a-z0-9-]+ \.s3 \.{_REGION} \.vpce                 # an interface endpoint in a VPC, or in one of its zones
    )
    \. (?: {"|".join(map(re.escape, AWS_SUFFIXES))} )
"""


# Compiled when the first client is covered, not at the import.
@cache
def _pattern() -> re.Pattern[str]:
    return re.compile(_FORMS, re.VERBOSE)


def is_s3_host(host: str) -> bool:
    """Tell whether a host name is S3's own or S3 Control's: public, dual-stack, FIPS, accelerated, or a VPC endpoint.

    The host comes without port. Upper case and the dot that ends an absolute name make no difference.
    """
    return _pattern().fullmatch(_plain(host)) is not None


def is_aws_host(host: str) -> bool:
    """Tell whether a host name lies in one of AWS's domains, where customers of AWS have names too.

    Ask :func:`is_s3_host` where credentials depend on the answer.
    """
    return _plain(host).endswith(tuple(f".{suffix}" for suffix in AWS_SUFFIXES))


def _plain(host: str) -> str:
    # The lower case of some letters outside ASCII is an ASCII letter.
    return host.lower().removesuffix(".") if host.isascii() else ""
