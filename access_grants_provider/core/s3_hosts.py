"""Which host names are S3's own.

A name below ``amazonaws.com`` alone says little: behind a load balancer, an EC2 instance or an endpoint service of that
domain MinIO and Ceph answer as well, and AWS does not know their credentials. The forms below rest on:

- https://docs.aws.amazon.com/general/latest/gr/s3.html, the endpoints of S3 and S3 Control.
- https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html, buckets in host names, older endpoints.
- https://docs.aws.amazon.com/AmazonS3/latest/userguide/privatelink-interface-endpoints.html, VPC endpoints.
- botocore's endpoint rules for S3 and S3 Control, whose results a test compares.
"""

from __future__ import annotations

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

# S3 alone can have a name here: the label before the region names the AWS service. A load balancer is called
# name-123.REGION.elb.…, name.elb.REGION.…; an endpoint service vpce-….vpce-svc-….REGION.vpce.…
REGIONAL_SERVICES = frozenset(
    f"{service}{fips}"
    for service in ("s3", "s3-control", "s3-accesspoint", "s3-object-lambda", "s3-outposts")
    for fips in ("", "-fips")
)
ACCELERATED = "s3-accelerate"
LABEL_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")


# Label by label: to compile a regular expression of these forms takes 3 ms.
def is_s3_host(host: str) -> bool:
    """Tell whether a host name is S3's own or S3 Control's: public, dual-stack, FIPS, accelerated, or a VPC endpoint.

    The host comes without port. Upper case and the dot that ends an absolute name make no difference.
    """
    name = _plain(host)
    for suffix in AWS_SUFFIXES:
        if name.endswith(f".{suffix}"):
            labels = name.removesuffix(f".{suffix}").split(".")
            return all(label and LABEL_CHARACTERS.issuperset(label) for label in labels) and _end_as_s3_does(labels)
    return False


def _end_as_s3_does(labels: list[str]) -> bool:
    """Tell whether the last labels are those of S3; a bucket, an account or an access point may stand before them."""
    if labels[-1] == "vpce":
        # An interface endpoint in a VPC, or in one of its zones: vpce-….s3.REGION.vpce
        endpoint, service, region = ["", "", "", *labels[:-1]][-3:]
        return endpoint.startswith("vpce-") and endpoint != "vpce-" and service == "s3" and _is_region(region)
    service, before = labels[-1], ["", "", *labels[:-1]]
    is_regional, is_dual_stack = False, False
    if _is_region(service):
        is_regional, service = True, before.pop()
    if service == "dualstack":
        is_dual_stack, service = True, before.pop()
    if is_regional:
        return service == ACCELERATED or service in REGIONAL_SERVICES or _is_express(service)
    if is_dual_stack:
        return service == ACCELERATED
    return _is_global(service, before[-1])


def _is_global(service: str, before: str) -> bool:
    """Tell whether a label is S3's without a region beside it: of all regions, or with an older name of one in it."""
    if service in ("s3", ACCELERATED):
        return True
    if service == "s3-global":
        # Of multi-Region access points.
        return before == "accesspoint"
    older = service.removeprefix("s3-")
    if older == service:
        return False
    number = older.removeprefix("external-")
    is_external = number != older and len(number) == 1 and number.isdigit()
    return is_external or _is_region(older.removeprefix("fips-"))


def _is_express(service: str) -> bool:
    """Tell whether a label is S3 Express's, in which a zone may be named."""
    name, *more = service.split("-")
    return name == "s3express" and all(part.isalnum() for part in more)


def _is_region(label: str) -> bool:
    """Tell whether a label is a region: eu-west-1, us-gov-east-1, eusc-de-east-1.

    aws-global and the like are botocore's names for a partition as a whole.
    """
    first, *middle, last = label.split("-") if "-" in label else ("", "")
    if not all(part.isalpha() for part in middle):
        return False
    if last == "global":
        return first == "aws"
    # A first part of more letters would take in the websites of s3-website-eu-west-1, which are no API.
    return bool(middle) and first.isalpha() and 2 <= len(first) <= 4 and last.isdigit()


def is_aws_host(host: str) -> bool:
    """Tell whether a host name lies in one of AWS's domains, where customers of AWS have names too.

    Ask :func:`is_s3_host` where credentials depend on the answer.
    """
    return _plain(host).endswith(tuple(f".{suffix}" for suffix in AWS_SUFFIXES))


def _plain(host: str) -> str:
    # The lower case of some letters outside ASCII is an ASCII letter.
    return host.lower().removesuffix(".") if host.isascii() else ""
