"""A web back end that serves several teams from one process, each under its own identity and its own grants.

Each team is a profile of the AWS configuration. No credential, grant or refusal of one is ever used for another.
Needs fastapi, boto3 and aiobotocore; `uvicorn fastapi_identities:app` serves it.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Any

import boto3
from aiobotocore.session import AioSession
from botocore.exceptions import ClientError
from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response

import access_grants_provider

TEAMS = ("emea", "apac")
BUCKET = "sales"
STATUS = {"AccessDenied": 403, "NoSuchKey": 404}


def client_of(team: str) -> Any:
    """Return the team's S3 client, for all threads."""
    session = boto3.Session(profile_name=team)
    access_grants_provider.register(session, fallback="never")
    return session.client("s3")


def async_client_of(team: str) -> Any:
    """Return the team's S3 client for the event loop, to be entered with `async with`."""
    session = AioSession(profile=team)
    access_grants_provider.register(session, fallback="never")
    return session.create_client("s3")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Keep both kinds of clients as long as the application runs."""
    app.state.clients = {team: client_of(team) for team in TEAMS}
    async with AsyncExitStack() as stack:
        app.state.async_clients = {team: await stack.enter_async_context(async_client_of(team)) for team in TEAMS}
        yield


app = FastAPI(lifespan=lifespan)


def team_of(x_team: Annotated[str, Header()]) -> str:
    """Say for whom a request is made. Your authentication goes here."""
    if x_team not in TEAMS:
        raise HTTPException(401, "no such team")
    return x_team


Team = Annotated[str, Depends(team_of)]


@app.get("/threads/{key:path}")
def read(key: str, team: Team, request: Request) -> Response:
    """Serve an object from one of FastAPI's threads."""
    answer = request.app.state.clients[team].get_object(Bucket=BUCKET, Key=key)
    return Response(answer["Body"].read())


@app.get("/tasks/{key:path}")
async def read_async(key: str, team: Team, request: Request) -> Response:
    """Serve an object from the event loop."""
    answer = await request.app.state.async_clients[team].get_object(Bucket=BUCKET, Key=key)
    return Response(await answer["Body"].read())


@app.exception_handler(ClientError)
def refuse(_: Request, error: ClientError) -> Response:
    """Pass on a refusal, be it S3's own or for want of a grant."""
    return Response(str(error), STATUS.get(error.response["Error"]["Code"], 502))
