"""The service models of the calls that are made: four operations, in the form of botocore's ``service-2.json``.

botocore's own model of S3 Control has some hundred operations, and reading it takes a fifth of the first request's CPU
time. The operations here are the same, word for word of the protocol, as a test compares with the installed botocore.
They have what came later too, whichever botocore is installed: ``AuditContext`` came with 1.42.80, ``InstanceScope``
and ``MatchedInstanceArn`` with 1.43.127. What botocore does not look at (lengths, patterns, lists of values) is left
out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["ModelLoader"]


def _query(name: str, shape: str = "Text") -> dict[str, Any]:
    return {"shape": shape, "location": "querystring", "locationName": name}


def _structure(members: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "structure", "members": members, **more}


def _get(name: str, path: str) -> dict[str, Any]:
    """Return an operation of S3 Access Grants."""
    return {
        "name": name,
        "http": {"method": "GET", "requestUri": f"/v20180820/accessgrantsinstance/{path}"},
        "input": {"shape": f"{name}Request"},
        "output": {"shape": f"{name}Result"},
        "endpoint": {"hostPrefix": "{AccountId}."},
        "httpChecksumRequired": True,
        "staticContextParams": {"RequiresAccountId": {"value": True}},
    }


def _s3_control() -> dict[str, Any]:
    """Return the model of S3 Control."""
    text = {"shape": "Text"}
    # The account is a header and the first label of the host's name.
    account = {
        "shape": "Text",
        "contextParam": {"name": "AccountId"},
        "hostLabel": True,
        "location": "header",
        "locationName": "x-amz-account-id",
    }
    return {
        "version": "2.0",
        "metadata": {
            "apiVersion": "2018-08-20",
            "endpointPrefix": "s3-control",
            "protocol": "rest-xml",
            "protocols": ["rest-xml"],
            "serviceFullName": "AWS S3 Control",
            "serviceId": "S3 Control",
            "signatureVersion": "s3v4",
            "signingName": "s3",
            "uid": "s3control-2018-08-20",
            "auth": ["aws.auth#sigv4"],
        },
        "operations": {
            "GetDataAccess": _get("GetDataAccess", "dataaccess"),
            "GetAccessGrantsInstanceForPrefix": _get("GetAccessGrantsInstanceForPrefix", "prefix"),
            "ListCallerAccessGrants": _get("ListCallerAccessGrants", "caller/grants"),
        },
        "clientContextParams": {"UseArnRegion": {"type": "boolean", "documentation": ""}},
        "shapes": {
            "Text": {"type": "string"},
            "Secret": {"type": "string", "sensitive": True},
            "Number": {"type": "integer"},
            "Time": {"type": "timestamp"},
            "GetDataAccessRequest": _structure(
                {
                    "AccountId": account,
                    "Target": _query("target"),
                    "Permission": _query("permission"),
                    "DurationSeconds": _query("durationSeconds", "Number"),
                    "Privilege": _query("privilege"),
                    "TargetType": _query("targetType"),
                    "AuditContext": _query("auditContext"),
                    "InstanceScope": _query("instanceScope"),
                },
                required=["AccountId", "Target", "Permission"],
            ),
            "GetDataAccessResult": _structure(
                {"Credentials": {"shape": "Credentials"}, "MatchedGrantTarget": text, "MatchedInstanceArn": text}
            ),
            "Credentials": _structure(
                {
                    "AccessKeyId": {"shape": "Secret"},
                    "SecretAccessKey": {"shape": "Secret"},
                    "SessionToken": {"shape": "Secret"},
                    "Expiration": {"shape": "Time"},
                },
                sensitive=True,
            ),
            "GetAccessGrantsInstanceForPrefixRequest": _structure(
                {"AccountId": account, "S3Prefix": _query("s3prefix")}, required=["AccountId", "S3Prefix"]
            ),
            "GetAccessGrantsInstanceForPrefixResult": _structure({"AccessGrantsInstanceArn": text}),
            "ListCallerAccessGrantsRequest": _structure(
                {
                    "AccountId": account,
                    "GrantScope": _query("grantscope"),
                    "NextToken": _query("nextToken"),
                    "MaxResults": _query("maxResults", "Number"),
                    "InstanceScope": _query("instanceScope"),
                },
                required=["AccountId"],
            ),
            "ListCallerAccessGrantsResult": _structure(
                {"NextToken": text, "CallerAccessGrantsList": {"shape": "Grants"}}
            ),
            "Grants": {"type": "list", "member": {"shape": "Grant", "locationName": "AccessGrant"}},
            "Grant": _structure({"Permission": text, "GrantScope": text, "ApplicationArn": text}),
        },
    }


def _sts() -> dict[str, Any]:
    """Return the model of STS."""
    text = {"shape": "Text"}
    return {
        "version": "2.0",
        "metadata": {
            "apiVersion": "2011-06-15",
            "endpointPrefix": "sts",
            "globalEndpoint": "sts.amazonaws.com",
            "protocol": "query",
            "protocols": ["query"],
            "serviceAbbreviation": "AWS STS",
            "serviceFullName": "AWS Security Token Service",
            "serviceId": "STS",
            "signatureVersion": "v4",
            "uid": "sts-2011-06-15",
            "xmlNamespace": "https://sts.amazonaws.com/doc/2011-06-15/",
            "auth": ["aws.auth#sigv4"],
        },
        "operations": {
            "GetCallerIdentity": {
                "name": "GetCallerIdentity",
                "http": {"method": "POST", "requestUri": "/"},
                "input": {"shape": "GetCallerIdentityRequest"},
                "output": {"shape": "GetCallerIdentityResponse", "resultWrapper": "GetCallerIdentityResult"},
            }
        },
        "shapes": {
            "Text": {"type": "string"},
            "GetCallerIdentityRequest": _structure({}),
            "GetCallerIdentityResponse": _structure({"Account": text, "Arn": text}),
        },
    }


# Made anew for each client: whoever changes a model, as some plugins do, changes that client's.
MODELS: dict[str, Callable[[], dict[str, Any]]] = {"s3control": _s3_control, "sts": _sts}


class ModelLoader:
    """A ``data_loader`` of botocore that has the models above, and whatever else from the loader it is given."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def load_service_model(self, service_name: str, type_name: str, api_version: str | None = None) -> Any:
        """Return a model; ``type_name`` is ``"service-2"`` for the operations of a service."""
        if type_name == "service-2" and service_name in MODELS:
            return MODELS[service_name]()
        return self._loader.load_service_model(service_name, type_name, api_version=api_version)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)
