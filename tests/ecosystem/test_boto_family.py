"""aioboto3, awswrangler and smart_open: they take a session or a client, or make their own.

aioboto3 wants one version of aiobotocore, and not the newest. So it has an extra of its own.
"""

from __future__ import annotations

import pytest


@pytest.mark.needs("aioboto3", extra="test-aioboto3")
def test_an_aioboto3_client_and_resource_are_covered_by_the_environment(server, alice, run, signers):
    run(AIOBOTO3 % "", alice)
    assert signers() == {"grant"}
    # WRITE, and READ once for the client and the resource: they sign as the same caller.
    assert server.calls("GetDataAccess") == 2


@pytest.mark.needs("aioboto3", extra="test-aioboto3")
def test_an_aioboto3_session_is_covered_by_register(server, alice, run, signers):
    register = 'import access_grants_provider; access_grants_provider.register(session, fallback="never")'
    run(AIOBOTO3 % register, alice, BOTOCORE_EXPERIMENTAL__PLUGINS="")
    assert signers() == {"grant"}
    assert server.calls("GetDataAccess") == 2


AIOBOTO3 = """
    import asyncio, io
    import aioboto3

    async def main():
        session = aioboto3.Session()
        %s
        async with session.client("s3") as s3:
            await s3.upload_fileobj(io.BytesIO(b"a" * 9_000_000), "data", "in/a")
            await s3.put_object(Bucket="data", Key="in/b", Body=b"b")
            read = await s3.get_object(Bucket="data", Key="in/b")
            assert await read["Body"].read() == b"b"
        async with session.resource("s3") as resource:
            bucket = await resource.Bucket("data")
            assert [one.key async for one in bucket.objects.filter(Prefix="in/")] == ["in/a", "in/b"]
            one = await bucket.Object("in/a")
            body = await (await one.get())["Body"].read()
            assert body == b"a" * 9_000_000

    asyncio.run(main())
"""


@pytest.mark.needs("awswrangler")
@pytest.mark.parametrize("switch", ["environment", "register"])
def test_awswrangler_reads_and_writes_with_a_session(server, alice, run, signers, switch):
    program = """
        import sys
        import awswrangler
        import boto3
        import pandas

        session = boto3.Session()
        %s
        frame = pandas.DataFrame({"team": ["north", "south"] * 5, "amount": range(10)})
        awswrangler.s3.to_parquet(
            frame, "s3://data/in/set/", dataset=True, partition_cols=["team"], boto3_session=session
        )
        assert len(awswrangler.s3.list_objects("s3://data/in/set/", boto3_session=session)) == 2
        read = awswrangler.s3.read_parquet("s3://data/in/set/", dataset=True, use_threads=True, boto3_session=session)
        assert sorted(read["amount"]) == list(range(10))
        awswrangler.s3.to_csv(frame, "s3://data/in/one.csv", index=False, boto3_session=session)
        assert len(awswrangler.s3.read_csv("s3://data/in/one.csv", boto3_session=session)) == 10
        awswrangler.s3.delete_objects("s3://data/in/set/", boto3_session=session)
        assert awswrangler.s3.list_objects("s3://data/in/set/", boto3_session=session) == []
    """
    # Where Ray is installed, awswrangler would take it, and no session.
    more = {"WR_ENGINE": "python"}
    if switch == "environment":
        run(program % "", alice, **more)
    else:
        register = "import access_grants_provider; access_grants_provider.register(session)"
        run(program % register, alice, BOTOCORE_EXPERIMENTAL__PLUGINS="", **more)
    assert signers() == {"grant"}
    assert server.calls("GetDataAccess") == 2


@pytest.mark.needs("smart_open")
def test_smart_open_streams_through_a_client_of_its_own_and_a_given_one(server, alice, run, signers):
    program = """
        import boto3
        from smart_open import open

        given = {"client": boto3.client("s3")}
        with open("s3://data/in/lines", "wb", transport_params={**given, "min_part_size": 5 * 1024 * 1024}) as file:
            for _ in range(6):
                file.write(bytes(1024 * 1024))
        with open("s3://data/in/lines", "rb", transport_params=given) as file:
            file.seek(-10, 2)
            assert file.read() == bytes(10)
        with open("s3://data/in/text", "w") as file:
            file.write("one\\ntwo\\n")
        with open("s3://data/in/text") as file:
            assert list(file) == ["one\\n", "two\\n"]
    """
    run(program, alice)
    assert server.calls("UploadPart") >= 1
    assert signers() == {"grant"}
    assert server.calls("GetDataAccess") == 2
