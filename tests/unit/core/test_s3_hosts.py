"""Which host names are S3's own: every one that botocore's endpoint rules make, and nobody else's."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import EndpointResolutionError
from botocore.loaders import Loader
from hypothesis import example, given
from hypothesis import strategies as st

from access_grants_provider.core.s3_hosts import AWS_SUFFIXES, is_aws_host, is_s3_host

LOADER = Loader()
PARTITIONS = LOADER.load_data("partitions")["partitions"]
BUCKETS = [None, "sales", "sales.emea.2026", "s3", "Sales_EMEA"]


def rules_of(service: str) -> EndpointProvider:
    rules = LOADER.load_service_model(service, "endpoint-rule-set-1")
    return EndpointProvider(ruleset_data=rules, partition_data={"partitions": PARTITIONS, "version": "1.1"})


def resolved(service: str, **options: list[Any]) -> Iterator[str]:
    """The host of every combination of options that the rules of ``service`` allow."""
    provider = rules_of(service)
    for values in itertools.product(*options.values()):
        chosen = {name: value for name, value in zip(options, values, strict=True) if value is not None}
        try:
            endpoint = provider.resolve_endpoint(**chosen)
        except EndpointResolutionError:
            continue
        host = urlsplit(endpoint.url).hostname
        assert host is not None
        yield host


@pytest.mark.parametrize("partition", PARTITIONS, ids=lambda partition: partition["id"])
def test_every_endpoint_that_botocore_makes_for_s3_is_s3_s(partition: dict[str, Any]) -> None:
    hosts = set(
        resolved(
            "s3",
            Region=sorted(partition["regions"]),
            Bucket=BUCKETS,
            UseFIPS=[False, True],
            UseDualStack=[False, True],
            Accelerate=[False, True],
            ForcePathStyle=[False, True],
            UseGlobalEndpoint=[False, True],
        )
    )
    assert len(hosts) >= 3 * len(partition["regions"])
    assert [host for host in sorted(hosts) if not is_s3_host(host)] == []
    assert [host for host in sorted(hosts) if not is_aws_host(host)] == []


@pytest.mark.parametrize("partition", PARTITIONS, ids=lambda partition: partition["id"])
def test_every_endpoint_that_botocore_makes_for_s3_control_is_s3_s(partition: dict[str, Any]) -> None:
    hosts = set(
        resolved(
            "s3control",
            Region=sorted(partition["regions"]),
            AccountId=[None, "123456789012"],
            RequiresAccountId=[False, True],
            UseFIPS=[False, True],
            UseDualStack=[False, True],
        )
    )
    assert len(hosts) >= 2 * len(partition["regions"])
    assert [host for host in sorted(hosts) if not is_s3_host(host)] == []


@pytest.mark.parametrize(
    "bucket",
    [
        "arn:{partition}:s3:{region}:123456789012:accesspoint/reports",
        "arn:{partition}:s3-object-lambda:{region}:123456789012:accesspoint/masked",
        "arn:{partition}:s3-outposts:{region}:123456789012:outpost/op-01ac5d28a6a232904/accesspoint/reports",
        "arn:{partition}:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap",
        "sales--use1-az4--x-s3",
        "reports-o01ac5d28a6a232904e8xz5w8ijx1qzlbp3i3kuse10--op-s3",
    ],
)
@pytest.mark.parametrize(("partition", "region"), [("aws", "us-east-1"), ("aws-cn", "cn-north-1")])
def test_the_endpoints_of_what_is_no_general_purpose_bucket_are_s3_s_too(
    bucket: str, partition: str, region: str
) -> None:
    name = bucket.format(partition=partition, region=region)
    hosts = set(resolved("s3", Region=[region], Bucket=[name], UseFIPS=[False, True], UseDualStack=[False, True]))
    assert hosts or partition != "aws", "the rules made no endpoint to compare"
    assert [host for host in sorted(hosts) if not is_s3_host(host)] == []


def test_every_endpoint_of_botocore_s_older_data_is_s3_s() -> None:
    hosts = set()
    for partition in LOADER.load_data("endpoints")["partitions"]:
        for service in ("s3", "s3-control"):
            for region, endpoint in partition["services"].get(service, {}).get("endpoints", {}).items():
                for entry in (endpoint, *endpoint.get("variants", ())):
                    template = entry.get("hostname", "{service}.{region}.{dnsSuffix}")
                    suffix = partition["dnsSuffix"]
                    hosts.add(template.format(service=service, region=region, dnsSuffix=suffix))
    # Regions that botocore takes for a setting, as fips-us-east-1, have their hostname spelled out.
    assert len(hosts) > 100
    assert "s3-external-1.amazonaws.com" in hosts
    assert [host for host in sorted(hosts) if not is_s3_host(host)] == []


def test_the_domains_are_those_of_botocore_s_partitions() -> None:
    outputs = [partition["outputs"] for partition in PARTITIONS]
    known = {output[name] for output in outputs for name in ("dnsSuffix", "dualStackDnsSuffix")}
    # Older versions of botocore know fewer.
    assert known - set(AWS_SUFFIXES) == set()


OWN = [
    "s3.amazonaws.com",
    "s3.eu-west-1.amazonaws.com",
    "s3-eu-west-1.amazonaws.com",
    "s3-us-gov-west-1.amazonaws.com",
    "s3-fips-us-gov-west-1.amazonaws.com",
    "s3-external-1.amazonaws.com",
    "sales.s3.amazonaws.com",
    "sales.s3-eu-west-1.amazonaws.com",
    "sales.s3.eu-west-1.amazonaws.com",
    "sales.emea.2026.s3.eu-west-1.amazonaws.com",
    "s3.dualstack.eu-west-1.amazonaws.com",
    "sales.s3.dualstack.eu-west-1.amazonaws.com",
    "s3-fips.us-east-1.amazonaws.com",
    "s3-fips.dualstack.us-east-1.amazonaws.com",
    "s3-accelerate.amazonaws.com",
    "sales.s3-accelerate.amazonaws.com",
    "sales.s3-accelerate.dualstack.amazonaws.com",
    "s3.cn-north-1.amazonaws.com.cn",
    "s3.eusc-de-east-1.amazonaws.eu",
    "s3.us-iso-east-1.c2s.ic.gov",
    "s3.us-isob-east-1.sc2s.sgov.gov",
    "s3-outposts.eu-west-1.api.aws",
    "123456789012.s3-control.eu-west-1.amazonaws.com",
    "123456789012.s3-control-fips.dualstack.us-gov-west-1.amazonaws.com",
    "bucket.vpce-1a2b3c4d-5e6f.s3.us-east-1.vpce.amazonaws.com",
    "bucket.vpce-1a2b3c4d-5e6f-us-east-1a.s3.us-east-1.vpce.amazonaws.com",
    "accesspoint.vpce-1a2b3c4d-5e6f.s3.us-east-1.vpce.amazonaws.com",
    "control.vpce-1a2b3c4d-5e6f.s3.us-east-1.vpce.amazonaws.com",
    "sales.bucket.vpce-1a2b3c4d-5e6f.s3.us-east-1.vpce.amazonaws.com",
    "sales.emea.bucket.vpce-1a2b3c4d-5e6f.s3.us-east-1.vpce.amazonaws.com",
    "123456789012.control.vpce-1a2b3c4d-5e6f.s3.us-east-1.vpce.amazonaws.com",
    "bucket.vpce-1a2b3c4d-5e6f.s3.cn-north-1.vpce.amazonaws.com.cn",
    "S3.EU-WEST-1.AMAZONAWS.COM",
    "s3.eu-west-1.amazonaws.com.",
]

# Here others answer, though the name lies in a domain of AWS.
RENTED = [
    "minio-123456.eu-west-1.elb.amazonaws.com",
    "internal-s3-123456.eu-west-1.elb.amazonaws.com",
    "s3-0123456789abcdef.elb.eu-west-1.amazonaws.com",
    "s3.elb.eu-west-1.amazonaws.com",
    "dualstack.s3-123456.eu-west-1.elb.amazonaws.com",
    "s3-123456.elb.cn-north-1.amazonaws.com.cn",
    "ec2-203-0-113-1.eu-west-1.compute.amazonaws.com",
    "ec2-203-0-113-1.compute-1.amazonaws.com",
    "ec2-203-0-113-1.cn-north-1.compute.amazonaws.com.cn",
    "abcdef1234.execute-api.eu-west-1.amazonaws.com",
    "s3.execute-api.eu-west-1.amazonaws.com",
    "abcdef1234-vpce-1a2b3c4d.execute-api.eu-west-1.amazonaws.com",
    "s3.eu-west-1.elasticbeanstalk.amazonaws.com",
    "vpce-1a2b3c4d-5e6f.vpce-svc-0123456789abcdef0.eu-west-1.vpce.amazonaws.com",
    "vpce-1a2b3c4d-5e6f-eu-west-1a.vpce-svc-0123456789abcdef0.eu-west-1.vpce.amazonaws.com",
    "s3.vpce-1a2b3c4d-5e6f.vpce-svc-0123456789abcdef0.eu-west-1.vpce.amazonaws.com",
    "vpce-1a2b3c4d-5e6f.sts.eu-west-1.vpce.amazonaws.com",
    "vpce-1a2b3c4d-5e6f.s3tables.eu-west-1.vpce.amazonaws.com",
    "vpce-s3.eu-west-1.vpce.amazonaws.com",
    "sales.s3-website-eu-west-1.amazonaws.com",
    "sales.s3-website.eu-central-1.amazonaws.com",
    "sts.eu-west-1.amazonaws.com",
    "sts.amazonaws.com",
    "s3tables.eu-west-1.amazonaws.com",
    "s3.minio.amazonaws.com",
    "mys3.amazonaws.com",
    "mys3.eu-west-1.amazonaws.com",
    "s3eu-west-1.amazonaws.com",
    "MINIO-123456.EU-WEST-1.ELB.AMAZONAWS.COM",
    "minio-123456.eu-west-1.elb.amazonaws.com.",
    ".s3.eu-west-1.amazonaws.com",
    "sales..s3.eu-west-1.amazonaws.com",
]
FOREIGN = [
    "",
    ".",
    "localhost",
    "127.0.0.1",
    "::1",
    "[::1]",
    "10.0.0.7",
    "minio",
    "s3",
    "s3.local",
    "s3.evil.com",
    "s3.eu-west-1.evil.com",
    "s3.amazonaws.com.evil.com",
    "s3.eu-west-1.amazonaws.com.evil.com",
    "s3.amazonaws.com.cn.evil.com",
    "minio.amazonaws.com.local",
    "s3.eu-west-1.amazonaws.com.local",
    "s3-amazonaws.com",
    "s3.eu-west-1.amazonawsxcom",
    "s3.eu-west-1.amazonaws.co",
    "s3.eu-west-1.myamazonaws.com",
    "amazonaws.com",
    "s3.eu-west-1.amazonaws.com..",
    "s3.eu-west-1.amazonaws.com\n",
    "s3.eu-west-1.amazonaws.com:443",
    "sales.s3.wasabisys.com",
    "s3.eu-central-003.backblazeb2.com",
    "storage.googleapis.com",
    "abcdef.lambda-url.eu-west-1.on.aws",
    "d111111abcdef8.cloudfront.net",
    "s3.eu-isoe-west-1.cloud.adc-e.u\u212a",
]


@pytest.mark.parametrize("host", OWN)
def test_a_host_name_of_s3(host: str) -> None:
    assert is_s3_host(host)
    assert is_aws_host(host)


@pytest.mark.parametrize("host", RENTED)
def test_a_name_below_a_domain_of_aws_that_is_not_s3_s(host: str) -> None:
    assert not is_s3_host(host)
    assert is_aws_host(host)


@pytest.mark.parametrize("host", FOREIGN)
def test_a_name_outside_aws(host: str) -> None:
    assert not is_s3_host(host)
    assert not is_aws_host(host)


WORDS = """s3 S3 s3-fips dualstack eu-west-1 vpce vpce-1a-2b vpce-svc-1a bucket amazonaws com cn api aws elb evil"""
labels = st.sampled_from(["", *WORDS.split()]) | st.text(max_size=6)
hosts = st.lists(labels, max_size=9).map(".".join)


@given(hosts | st.text(max_size=60))
@example("s3.amazonaws.com.evil")
@example("s3.amazonaws.com\n")
def test_no_host_outside_the_domains_of_aws_is_s3_s(host: str) -> None:
    parts = host.lower().split(".")
    if parts[-1] == "":
        parts.pop()
    domains = [suffix.split(".") for suffix in AWS_SUFFIXES]
    if not any(parts[-len(domain) :] == domain for domain in domains):
        assert not is_s3_host(host)
        assert not is_aws_host(host)


@given(
    st.lists(labels, max_size=4).map(".".join), st.sampled_from(["elb", "compute", "execute-api", "vpce-svc-1a", "es"])
)
def test_what_another_service_names_is_not_s3_s(prefix: str, service: str) -> None:
    for host in (
        f"{prefix}.{service}.eu-west-1",
        f"{prefix}.eu-west-1.{service}",
        f"{prefix}.{service}.eu-west-1.vpce",
    ):
        assert not is_s3_host(f"{host}.amazonaws.com")


@given(st.from_regex(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", fullmatch=True), st.sampled_from(OWN[:2] + OWN[-10:-2]))
def test_any_bucket_may_stand_before_a_host_of_s3(bucket: str, host: str) -> None:
    assert is_s3_host(f"{bucket}.{host}") == (".." not in bucket)
