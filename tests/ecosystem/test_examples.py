"""The examples run as they stand; where S3 is and who signs, they have from the environment.

Those of Ray, Spark and dask are in ``test_engines_….py``.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def emea(server):
    """Somebody with a grant below ``s3://sales/emea/``."""
    server.bucket("sales")
    emea = server.identity("emea")
    server.grant(emea, "s3://sales/emea/*", "READWRITE")
    return emea


@pytest.mark.needs("pandas", "pyarrow", "s3fs")
def test_the_notebook_runs(server, emea, run, signers):
    server.put("s3://sales/emea/2026/q3.csv", "country,amount\nFR,1\nDE,2\nFR,4\n")
    printed = run(EXAMPLES / "notebook_pandas.py", emea, BOTOCORE_EXPERIMENTAL__PLUGINS="")
    assert printed.splitlines()[1:] == ["     DE       2", "     FR       5", "2 countries kept"]
    assert signers() == {"grant"}
    assert server.calls("GetDataAccess") == 2


@pytest.mark.needs("aiobotocore", "fastapi", "httpx")
def test_the_back_end_serves_each_team_under_its_own_grants(server, emea, run, tmp_path):
    apac = server.identity("apac")
    server.grant(apac, "s3://sales/apac/*", "READ")
    for team in ("emea", "apac"):
        server.put(f"s3://sales/{team}/q3", f"figures of {team}")
    profiles = tmp_path / "config"
    profiles.write_text(
        "".join(
            f"[profile {one.name}]\naws_access_key_id = {one.access_key_id}\n"
            f"aws_secret_access_key = {one.secret_access_key}\nregion = us-east-1\n"
            for one in (emea, apac)
        )
    )
    program = f"""
        import json, sys
        from concurrent.futures import ThreadPoolExecutor
        from fastapi.testclient import TestClient

        sys.path.insert(0, {str(EXAMPLES)!r})
        from fastapi_identities import app

        with TestClient(app) as client, ThreadPoolExecutor(8) as pool:
            def ask(way, team, key):
                answer = client.get(f"/{{way}}/{{key}}", headers={{"X-Team": team}})
                return way, team, key, answer.status_code, answer.text

            wanted = [
                (way, team, f"{{of}}/q3")
                for way in ("threads", "tasks") for team in ("emea", "apac") for of in ("emea", "apac")
            ]
            print(json.dumps(list(pool.map(lambda one: ask(*one), wanted * 3))))
    """
    # Keys in the environment are somebody else's: the profiles decide.
    nobody = server.identity("nobody")
    answers = json.loads(run(program, nobody, BOTOCORE_EXPERIMENTAL__PLUGINS="", AWS_CONFIG_FILE=str(profiles)))
    assert len(answers) == 24
    for _way, team, key, status, text in answers:
        if key == f"{team}/q3":
            assert (status, text) == (200, f"figures of {team}")
        else:
            assert status == 403
            assert "Ask the owner" in text
    assert {(one.signer, one.principal, one.key) for one in server.s3_requests()} == {
        ("grant", "emea", "emea/q3"),
        ("grant", "apac", "apac/q3"),
    }
    assert "nobody" not in {one.principal for one in server.requests}
