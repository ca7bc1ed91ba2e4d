"""Pools of processes, forked and spawned, of a parent that is warm or in the middle of a vend.

A forked child must not share locks, sockets or half-done flights with its parent.
"""

from __future__ import annotations

import json
import multiprocessing

import pytest

METHODS = [
    pytest.param(
        method,
        marks=pytest.mark.skipif(
            method not in multiprocessing.get_all_start_methods(), reason=f"this system has no {method}"
        ),
    )
    for method in ("fork", "spawn")
]

# The parent keeps its own client; a child makes its own, as boto3 asks for. What a child knows, it has from the plugin.
BOTO3 = """
    import json, multiprocessing, sys, threading
    from concurrent.futures import ProcessPoolExecutor
    import boto3

    def work(number):
        s3 = boto3.client("s3")
        s3.put_object(Bucket="data", Key=f"in/child/{number}", Body=b"x")
        return s3.get_object(Bucket="data", Key=f"in/child/{number}")["Body"].read().decode()

    def warm():
        s3 = boto3.client("s3")
        s3.put_object(Bucket="data", Key="in/parent", Body=b"x")
        s3.get_object(Bucket="data", Key="in/parent")["Body"].read()
        return s3
"""
S3FS = """
    import json, multiprocessing, sys, threading
    from concurrent.futures import ProcessPoolExecutor
    import s3fs

    def work(number):
        fs = s3fs.S3FileSystem()
        fs.pipe(f"data/in/child/{number}", b"x")
        return fs.cat(f"data/in/child/{number}").decode()

    def warm():
        fs = s3fs.S3FileSystem()
        fs.pipe("data/in/parent", b"x")
        fs.cat("data/in/parent")
        return fs
"""
LIBRARIES = [
    pytest.param(BOTO3, id="boto3"),
    pytest.param(S3FS, id="s3fs", marks=pytest.mark.needs("s3fs")),
]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("library", LIBRARIES)
def test_the_pool_of_a_warm_parent_works_and_forked_children_know_what_it_knew(
    server, alice, run, signers, library, method
):
    program = f"""{library}
    if __name__ == "__main__":
        kept = warm()
        with ProcessPoolExecutor(2, multiprocessing.get_context("{method}")) as pool:
            print(json.dumps(list(pool.map(work, range(6)))))
        warm()
    """
    assert json.loads(run(program, alice)) == ["x"] * 6
    assert signers() == {"grant"}
    if method == "fork":
        # READ and WRITE, once, in the parent.
        assert server.calls("GetDataAccess") == 2
        assert server.calls("GetCallerIdentity") == 1
    else:
        # A spawned process starts with nothing; an idle one of the two may have been given no work.
        assert server.calls("GetDataAccess") in (4, 6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_pool_made_in_the_middle_of_a_vend_asks_for_itself_and_waits_for_nobody(
    server, alice, run, signers, library, method
):
    program = f"""{library}
    if __name__ == "__main__":
        asking = threading.Thread(target=warm)
        asking.start()
        sys.stdin.readline()
        with ProcessPoolExecutor(1, multiprocessing.get_context("{method}")) as pool:
            print(json.dumps(list(pool.map(work, range(3)))))
        asking.join()
    """
    with server.hold("GetDataAccess") as held:

        def fork_in_the_middle(say):
            held.wait_for(1, timeout=60)
            say("now the pool")
            # The second is the child's. If it waited for the parent's flight, this would be in vain.
            held.wait_for(2, timeout=60)
            held.release()

        assert json.loads(run(program, alice, fork_in_the_middle)) == ["x"] * 3
    assert signers() == {"grant"}
    # READ and WRITE in each of the two.
    assert server.calls("GetDataAccess") == 4
