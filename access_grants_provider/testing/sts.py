"""The one operation of STS that is answered here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

from .errors import REQUEST_ID, Refusal
from .http_messages import Response
from .identities import Credential

_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"


def caller_identity(credential: Credential) -> dict[str, Any]:
    """GetCallerIdentity's result for the holder of this key."""
    if credential.vended is not None:
        user_id = "AROALOCALACCESSGRANT:access-grants"
        return {"Arn": credential.arn, "UserId": user_id, "Account": credential.vended.account_id}
    principal = credential.principal
    return {"Arn": principal.arn, "UserId": principal.user_id, "Account": principal.account_id}


def answer(result: Mapping[str, Any]) -> Response:
    """The answer that carries this result of GetCallerIdentity."""
    inner = "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in result.items())
    document = (
        f'<GetCallerIdentityResponse xmlns="{_NAMESPACE}"><GetCallerIdentityResult>{inner}</GetCallerIdentityResult>'
        f"<ResponseMetadata><RequestId>{REQUEST_ID}</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
    )
    return Response(200, {"Content-Type": "text/xml", "x-amzn-RequestId": REQUEST_ID}, document.encode())


def in_its_words(refusal: Refusal) -> Refusal:
    """A refusal in S3's words, in those of STS."""
    invalid = Refusal("InvalidClientTokenId", "The security token included in the request is invalid.")
    translated = {
        "InvalidAccessKeyId": invalid,
        "InvalidToken": invalid,
        "ExpiredToken": Refusal("ExpiredToken", "The security token included in the request is expired", status=403),
        "RequestTimeTooSkewed": Refusal("SignatureDoesNotMatch", "Signature expired: " + refusal.message),
    }
    return translated.get(refusal.code, refusal)
