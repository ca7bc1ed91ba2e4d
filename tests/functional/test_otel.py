"""OpenTelemetry metrics: what is counted, how long calls took, and that no key is an attribute."""

from __future__ import annotations

import gc
import weakref

import pytest

from access_grants_provider.exceptions import ServiceFailure

metrics = pytest.importorskip("opentelemetry.sdk.metrics", reason="the OpenTelemetry SDK is not installed")
export = pytest.importorskip("opentelemetry.sdk.metrics.export", reason="the OpenTelemetry SDK is not installed")
instrument = pytest.importorskip("access_grants_provider.otel").instrument


@pytest.fixture
def reader():
    return export.InMemoryMetricReader()


@pytest.fixture
def meters(reader):
    provider = metrics.MeterProvider([reader])
    yield provider
    provider.shutdown()


def points(reader, name):
    """Return the points of an instrument, by their attributes."""
    data = reader.get_metrics_data()
    found = {}
    for resource in data.resource_metrics if data else []:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                if metric.name == name:
                    for point in metric.data.data_points:
                        found[tuple(sorted(point.attributes.items()))] = point
    return found


def bare(provider):
    """Return the provider itself, in place of the view that asks it in an event loop."""
    return getattr(provider, "bare", provider)


@pytest.fixture
def scenario(grants, register, meters):
    alice = grants.identity("alice")
    grants.grant(alice, "s3://data/in/*", "READ")
    grants.put("s3://data/in/x", b"1")
    session = grants.session(alice)
    provider = bare(register(session))
    instrument(provider, meters)
    return session.client("s3"), provider


def test_requests_are_counted_by_outcome_and_source(grants, scenario, reader):
    s3, _ = scenario
    for _ in range(3):
        s3.get_object(Bucket="data", Key="in/x")
    with pytest.raises(s3.exceptions.ClientError):
        s3.get_object(Bucket="data", Key="out/x")
    counted = points(reader, "access_grants.requests")
    values = {attributes: point.value for attributes, point in counted.items() if point.value}
    assert values == {
        (("outcome", "granted"), ("source", "vended")): 1,
        (("outcome", "granted"), ("source", "cache")): 2,
        (("outcome", "fallback"),): 1,
    }


def test_control_calls_are_timed_by_operation_and_failures_by_kind(grants, scenario, reader):
    s3, _ = scenario
    grants.fail("GetDataAccess", "SomethingBroke", status=400)
    with pytest.raises(ServiceFailure):
        s3.get_object(Bucket="data", Key="in/x")
    s3.get_object(Bucket="data", Key="in/x")
    timed = points(reader, "access_grants.control_call.duration")
    failed = (("error.type", "ClientError"), ("operation", "get_data_access"))
    assert timed[failed].count == 1
    went_well = timed[("operation", "get_data_access"),]
    assert went_well.count == 1
    assert went_well.sum > 0


def test_no_attribute_tells_a_bucket_a_key_or_a_person(grants, scenario, reader):
    s3, _ = scenario
    s3.get_object(Bucket="data", Key="in/x")
    told = str([*points(reader, "access_grants.requests"), *points(reader, "access_grants.control_call.duration")])
    assert "get_data_access" in told
    for private in ("data", "in/x", "s3://", "AKIA"):
        assert private not in told.replace("get_data_access", "")


def test_an_observer_that_is_there_already_goes_on(grants, register, meters):
    alice = grants.identity("alice")
    grants.grant(alice, "s3://data/in/*", "READ")
    provider = register(grants.session(alice))
    seen = []
    bare(provider).observer = lambda *one: seen.append(one)
    instrument(bare(provider), meters)
    provider.credentials("s3://data/in/")
    assert [one[1].method for one in seen][-1] == "get_data_access"


@pytest.mark.only("botocore", reason="the loop's thread may hold the last frame for a while")
def test_what_is_measured_is_not_kept_alive(grants, meters, reader):
    import access_grants_provider

    session = grants.session(grants.identity("alice"))
    provider = access_grants_provider.register(session)
    instrument(provider, meters)
    gone = weakref.ref(provider)
    del provider, session
    gc.collect()
    assert gone() is None
    assert points(reader, "access_grants.requests") == {}
