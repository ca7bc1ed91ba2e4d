"""s3fs, which pandas, dask, DVC and many others read S3 with: aiobotocore in a thread of its own."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.needs("s3fs")


def test_it_lists_finds_and_reads_in_ranges(server, alice, run, signers):
    for name in ("a.txt", "b.txt", "deep/er/c.txt"):
        server.put(f"s3://data/in/{name}", f"this is {name}")
    program = """
        import json
        import s3fs

        fs = s3fs.S3FileSystem()
        listed, found = fs.ls("data/in"), fs.find("data/in")
        with fs.open("data/in/a.txt", "rb", block_size=4, cache_type="none") as file:
            file.seek(8)
            read = [file.read(2).decode(), file.read().decode()]
        ranges = [one.decode() for one in fs.cat_ranges(["data/in/a.txt", "data/in/b.txt"], [8, 8], [9, 9])]
        print(json.dumps([listed, found, read, ranges, fs.size("data/in/b.txt"), fs.exists("data/in/none")]))
    """
    listed, found, read, ranges, size, exists = json.loads(run(program, alice))
    assert sorted(listed) == ["data/in/a.txt", "data/in/b.txt", "data/in/deep"]
    assert found == ["data/in/a.txt", "data/in/b.txt", "data/in/deep/er/c.txt"]
    assert (read, ranges, size, exists) == (["a.", "txt"], ["a", "b"], 13, False)
    assert signers() == {"grant"}
    assert server.calls("GetDataAccess") == 1


def test_it_writes_in_parts_and_copies_within_a_grant(server, alice, run, signers):
    program = """
        import s3fs

        fs = s3fs.S3FileSystem()
        block = bytes(range(256)) * 4096
        with fs.open("data/in/big", "wb", block_size=5 * 1024 * 1024) as file:
            for _ in range(12):
                file.write(block)
        fs.cp("data/in/big", "data/in/copy")
        with fs.open("data/in/copy", "rb") as file:
            file.seek(-256, 2)
            assert file.read() == bytes(range(256))
    """
    run(program, alice)
    assert server.read("s3://data/in/copy") == bytes(range(256)) * 4096 * 12
    assert server.calls("UploadPart") > 2
    assert signers() == {"grant"}
    # WRITE for the parts, READWRITE for the copy; that one serves the read too, unless the read was first.
    assert server.calls("GetDataAccess") <= 3


def test_it_removes_many_at_once(server, alice, run, signers):
    for number in range(30):
        server.put(f"s3://data/in/many/{number:02}", b"x")
    program = """
        import s3fs

        fs = s3fs.S3FileSystem()
        assert len(fs.ls("data/in/many")) == 30
        fs.rm("data/in/many", recursive=True)
        fs.invalidate_cache()
        assert not fs.exists("data/in/many")
        fs.pipe("data/in/many/again", b"x")
        fs.invalidate_cache("data/in/many")
        print(fs.ls("data/in/many"))
    """
    assert run(program, alice) == "['data/in/many/again']\n"
    assert server.calls("DeleteObjects") == 1
    assert signers() == {"grant"}


@pytest.mark.parametrize("fallback", ["denied", "never"])
def test_a_path_without_a_grant_is_a_permission_error(server, alice, run, signers, fallback):
    server.put("s3://data/out/x", b"x")
    program = """
        import s3fs

        fs = s3fs.S3FileSystem()
        for wrong in (
            lambda: fs.cat("data/out/x"),
            lambda: fs.ls("data/out"),
            lambda: fs.pipe("data/out/y", b"y"),
            # rm() of several in one request tells of none that S3 refused; that is s3fs's own way.
            lambda: fs.rm_file("data/out/x"),
        ):
            try:
                wrong()
            except PermissionError as error:
                print(error)
    """
    printed = run(program, alice, S3_ACCESS_GRANTS_FALLBACK=fallback).splitlines()
    assert len(printed) == 4
    # With "never" the error comes from here and says what to do; S3 itself is not even asked.
    assert all(("Ask the owner" in line) == (fallback == "never") for line in printed)
    assert signers() == ({"alice"} if fallback == "denied" else set())


PICKLED = """
    import pickle, sys
    import s3fs

    fs = s3fs.S3FileSystem()
    assert fs.cat("data/in/x") == b"x"
    again = pickle.loads(pickle.dumps(fs))
    again.pipe("data/in/y", again.cat("data/in/x"))
    s3fs.S3FileSystem.clear_instance_cache()
    fresh = pickle.loads(pickle.dumps(fs))
    assert fresh is not fs and fresh.cat("data/in/y") == b"x"
    with open("pickled", "wb") as file:
        pickle.dump(fresh, file)
"""
UNPICKLED = """
    import pickle

    with open("pickled", "rb") as file:
        fs = pickle.load(file)
    print(fs.cat("data/in/y"), fs.find("data/in"))
"""


def test_a_pickled_filesystem_works_when_it_is_unpickled_here_and_in_a_fresh_process(server, alice, run, signers):
    server.put("s3://data/in/x", b"x")
    run(PICKLED, alice)
    here = server.calls("GetDataAccess")
    assert run(UNPICKLED, alice) == "b'x' ['data/in/x', 'data/in/y']\n"
    assert signers() == {"grant"}
    # All filesystems of a process share what was vended to it: READ and WRITE here, READ there.
    assert (here, server.calls("GetDataAccess")) == (2, 3)


def test_it_is_awaited_in_the_users_own_loop_beside_its_loop_thread(server, alice, run, signers):
    program = """
        import asyncio
        import s3fs

        beside = s3fs.S3FileSystem()
        beside.pipe({f"data/in/{number}": str(number).encode() for number in range(20)})

        async def main():
            fs = s3fs.S3FileSystem(asynchronous=True)
            session = await fs.set_session()
            paths = [f"data/in/{number}" for number in range(20)]
            here = asyncio.gather(*(fs._cat_file(path) for path in paths))
            there = asyncio.to_thread(beside.cat, paths)
            read, other = await here, await there
            assert read == [other[path] for path in paths] == [str(number).encode() for number in range(20)]
            await session.close()

        asyncio.run(main())
        asyncio.run(main())
    """
    run(program, alice)
    assert signers() == {"grant"}
    # WRITE, and READ once: what one loop was given serves the others, the second asyncio.run() included.
    assert server.calls("GetDataAccess") == 2


def test_forty_files_of_a_cold_filesystem_are_read_with_one_vend(server, alice, run, signers):
    for number in range(40):
        server.put(f"s3://data/in/{number}/x", b"x")
    program = """
        import s3fs

        fs = s3fs.S3FileSystem(skip_instance_cache=True)
        assert set(fs.cat([f"data/in/{number}/x" for number in range(40)]).values()) == {b"x"}
    """
    run(program, alice)
    assert signers() == {"grant"}
    assert server.calls("GetDataAccess") == 1


def test_a_registered_session_covers_the_filesystems_made_with_it_and_no_other(server, alice, run, signers):
    server.put("s3://data/in/x", b"x")
    program = """
        import access_grants_provider
        import s3fs
        from aiobotocore.session import AioSession

        session = AioSession()
        provider = access_grants_provider.register(session, fallback="never")
        assert s3fs.S3FileSystem(session=session).cat("data/in/x") == b"x"
        print(provider.stats().granted > 0)
        try:
            s3fs.S3FileSystem(skip_instance_cache=True).cat("data/in/x")
        except PermissionError as error:
            print("Ask the owner" in str(error))
    """
    assert run(program, alice, BOTOCORE_EXPERIMENTAL__PLUGINS="") == "True\nFalse\n"
    assert signers() == {"grant", "alice"}
    assert server.calls("GetDataAccess") == 1


def test_an_outage_of_access_grants_is_not_taken_for_a_missing_file(server, alice, run):
    server.put("s3://data/in/x", b"x")
    server.fail("GetDataAccess", "InvalidRequest", times=None)
    program = """
        import s3fs
        from access_grants_provider.exceptions import ServiceFailure

        fs = s3fs.S3FileSystem()
        for ask in (fs.exists, fs.ls, fs.cat):
            try:
                print(ask("data/in/x"))
            except ServiceFailure as error:
                print("GetDataAccess" in str(error))
    """
    assert run(program, alice) == "True\nTrue\nTrue\n"
    assert server.s3_requests() == []


def test_a_folder_is_put_and_got_under_a_grant_alone(server, alice, run, signers, tmp_path):
    """As for every directory that s3fs makes, see test_pandas.py."""
    (tmp_path / "folder" / "sub").mkdir(parents=True)
    (tmp_path / "folder" / "sub" / "x").write_text("x")
    program = """
        import s3fs

        fs = s3fs.S3FileSystem()
        fs.put("folder", "data/in/put", recursive=True)
        fs.mv("data/in/put/sub/x", "data/in/put/sub/y")
        fs.get("data/in/put", "got", recursive=True)
        print(fs.find("data/in"))
    """
    assert run(program, alice) == "['data/in/put/sub/y']\n"
    assert (tmp_path / "got" / "sub" / "y").read_text() == "x"
    assert signers("GetObject", "HeadObject", "PutObject", "CopyObject") == {"grant"}
