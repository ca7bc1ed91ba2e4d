"""The local S3 Access Grants in plain words."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, get_args
from urllib.parse import quote

import boto3

from .administration import Parameters
from .clients import make_client, make_session
from .controls import Controls
from .directory import DirectoryGroup, DirectoryUser, directory_id
from .dispatch import Dispatcher, claim_of
from .errors import Refusal
from .grants_api import CALLER_ACTIONS, AccessGrantsApi, InstanceLookup
from .grants_state import GROUP, USER, Instance
from .http_messages import Request, Response
from .identities import Identity, IdentityStore
from .moto_backend import MotoBackend
from .moto_keys import MotoKeys
from .moto_roles import MotoRoles
from .permissions import ACTIONS, Permissions
from .scopes import parse_scope

DEFAULT_ACCOUNT = "123456789012"
IDENTITY_CENTER = "arn:aws:sso:::instance/ssoins-0123456789abcdef"


class LocalAccessGrants(Controls):
    """S3 Access Grants and an S3 which enforces them, on this machine.

    `account_id` (12 digits) owns the buckets and instances unless another is named, `region` is where they are
    unless another is named. `clock` gives epoch seconds; it decides about expiry and the age of signatures.
    `find_instance_by` is the rule of GetAccessGrantsInstanceForPrefix, see the property of that name.

    Every method may be called from any thread. What AWS would refuse raises ValueError with AWS's words.
    """

    def __init__(
        self,
        account_id: str = DEFAULT_ACCOUNT,
        region: str = "us-east-1",
        clock: Callable[[], float] = time.time,
        *,
        find_instance_by: InstanceLookup = "account",
    ) -> None:
        super().__init__(clock)
        self.account_id = account_id
        self.region = region
        self._moto = self._make_backend()
        self._identities = IdentityStore(clock, MotoKeys(self._moto).find)
        self._permissions = Permissions()
        self._api = AccessGrantsApi(
            self._identities, self._permissions, clock, self._moto.find_bucket, MotoRoles(self._moto).longest_session
        )
        self.find_instance_by = find_instance_by
        self._dispatcher = Dispatcher(
            self._identities, self._permissions, self._api, self._faults, self._recorder, self._moto, clock
        )
        self.admin = self.admin_of(account_id)

    def handle(self, request: Request) -> Response | None:
        """Answer a request; None if it is neither for S3 nor for what this service knows of S3 Control and STS."""
        return self._dispatcher.handle(request)

    def account_of(self, request: Request) -> str | None:
        """The account of the key that a request names; moto takes the request for that account's."""
        claim = claim_of(request)
        credential = None if claim is None else self._identities.find(claim.access_key_id)
        return None if credential is None else credential.principal.account_id

    def session(self, identity: Identity | None = None) -> boto3.Session:
        """A boto3 session that signs as this identity, by default the admin."""
        return make_session(identity or self.admin, self.region)

    def client(self, service: str, identity: Identity | None = None, **kwargs: Any) -> Any:
        """A boto3 client of this identity, by default the admin, that speaks to this service."""
        return make_client(self.session(identity), service, self._endpoint_url(), **kwargs)

    # Identities

    def identity(self, name: str, account_id: str | None = None, session: bool = False) -> Identity:
        """The identity of this name, made on first use: an IAM user, or with `session` a session of the role `name`.

        It may call GetDataAccess, ListCallerAccessGrants, GetAccessGrantsInstanceForPrefix and GetCallerIdentity, and
        has no permission for any data.
        """
        return self._identities.get_or_create(name, account_id or self.account_id, session)

    def directory_group(self, name: str) -> DirectoryGroup:
        """The group of this name in the directory of IAM Identity Center, with its UUID."""
        return DirectoryGroup(name, directory_id("group", name))

    def directory_user(
        self,
        name: str,
        groups: Iterable[DirectoryGroup] = (),
        application_arn: str | None = None,
        account_id: str | None = None,
    ) -> Identity:
        """A session of the role `identity-center` that carries this user of the directory and the user's groups.

        `application_arn` is the application of IAM Identity Center that the user signed in through.
        """
        held = frozenset(group.id for group in groups)
        user = DirectoryUser(directory_id("user", name), held, application_arn)
        return self._identities.enhanced(name, account_id or self.account_id, user)

    def admin_of(self, account_id: str) -> Identity:
        """An identity that may do everything in this account."""
        admin = self._identities.get_or_create("admin", account_id, session=False)
        self._permissions.make_admin(admin.arn)
        return admin

    def accept_keys(self, access_key_id: str, secret_access_key: str) -> None:
        """Accept these keys as the admin's, with any session token."""
        self._identities.accept(access_key_id, secret_access_key, self.admin)

    def rotate(self, identity: Identity, expire: bool = False) -> Identity:
        """New keys for the same user or role. The old ones go on working unless `expire`."""
        return self._identities.rotate(identity, expire)

    def expire(self, identity: Identity) -> None:
        """From now on requests signed with these keys get ExpiredToken."""
        self._identities.expire(identity)

    def allow(self, identity: Identity | str, scope: str, permission: str) -> None:
        """Give the identity READ, WRITE or READWRITE on `s3://bucket/prefix*` or an object, without any grant.

        `identity` may be the ARN of a user or role of moto's IAM here, as in `forbid` and `permit`. A role's counts for
        all its sessions.
        """
        self._permissions.allow(_arn(identity), parse_scope(scope), _permission(permission))

    def forbid(self, identity: Identity | str, action: str) -> None:
        """Take the permission for an action (`"s3:GetDataAccess"`) away."""
        self._permissions.forbid(_arn(identity), action)

    def permit(self, identity: Identity | str, action: str) -> None:
        """Give the permission for an action (back), on every resource."""
        self._permissions.permit(_arn(identity), action)

    # Instances, buckets, locations and grants

    def instance(self, account_id: str | None = None, region: str | None = None) -> str:
        """The ARN of the Access Grants instance of this account and region, which is created if need be."""
        return self._instance(account_id or self.account_id, region or self.region).arn

    def bucket(
        self, name: str, region: str | None = None, versioned: bool = False, account_id: str | None = None
    ) -> str:
        """Create an empty bucket; its name is returned."""
        region, account_id = region or self.region, account_id or self.account_id
        constraint = f"<LocationConstraint>{region}</LocationConstraint>" if region != "us-east-1" else ""
        body = f"<CreateBucketConfiguration>{constraint}</CreateBucketConfiguration>" if constraint else ""
        self._send(Request("PUT", "https", "s3.amazonaws.com", f"/{name}", body=body.encode()), account_id, region)
        if versioned:
            body = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
            request = Request("PUT", "https", "s3.amazonaws.com", f"/{name}", "versioning", body=body.encode())
            self._send(request, account_id, region)
        return name

    def put(self, uri: str, body: bytes | str) -> None:
        """Store an object, without checks and without a record."""
        content = body.encode() if isinstance(body, str) else body
        self._send(_object_request("PUT", uri, content), *self._owner_and_region(uri))

    def read(self, uri: str) -> bytes:
        """The content of an object, without checks and without a record. Raises KeyError if there is none."""
        return self._send(_object_request("GET", uri), *self._owner_and_region(uri)).body

    def location(
        self,
        scope: str,
        denies: Iterable[str] = (),
        region: str | None = None,
        role: str | None = None,
        account_id: str | None = None,
    ) -> str:
        """Register a location (`s3://`, `s3://bucket`, `s3://bucket/prefix*`); its id is returned.

        `denies` are scopes which the location's role may not touch: sessions of its grants get 403 there. A location
        that is registered already gets these `denies`.
        """
        instance = self._instance(*self._instance_key(scope, region, account_id))
        with self._api.lock:
            known = next((entry for entry in instance.locations.values() if entry.scope == scope), None)
            location_id = known.id if known else self._register(instance, scope, role)
            instance.location(location_id).denies = tuple(parse_scope(text) for text in denies)
        return location_id

    def grant(
        self,
        grantee: Identity | DirectoryGroup | str,
        scope: str,
        permission: str,
        region: str | None = None,
        role: str | None = None,
        account_id: str | None = None,
        object_key: bool | None = None,
        application_arn: str | None = None,
    ) -> str:
        """Grant READ, WRITE or READWRITE; the grant's id is returned.

        `scope` is `s3://bucket/*`, `s3://bucket/prefix*`, or an object, `s3://bucket/key` (with `object_key=True` also
        one whose key ends in a star). Instance and location are created as needed: the grant belongs to
        the registered location closest to it, else to the default location `s3://`. `role` is the name of the
        location's role, if it has to be created. `grantee` may be an ARN. A user or group of the directory gets the
        instance associated with an IAM Identity Center instance, and may need to come through `application_arn`.
        """
        instance = self._instance(*self._instance_key(scope, region, account_id))
        is_object = not scope.endswith("*") if object_key is None else object_key
        if object_key is None and scope.endswith("/"):
            raise ValueError(f"{scope!r} is no grant's scope. Write '{scope}*' for all that is below it.")
        parse_scope(scope, is_object)
        with self._api.lock:
            around = [entry for entry in instance.locations.values() if scope.startswith(entry.reach)]
            location_id = (
                max(around, key=lambda entry: len(entry.reach)).id
                if around
                else self._register(instance, "s3://", role)
            )
            location = instance.location(location_id)
            sub_prefix = scope.removeprefix(location.reach)
            parameters: Parameters = {
                "AccessGrantsLocationId": location_id,
                "AccessGrantsLocationConfiguration": {"S3SubPrefix": sub_prefix} if sub_prefix else {},
                "Grantee": _grantee(grantee),
                "Permission": _permission(permission),
            }
            if application_arn is not None:
                parameters["ApplicationArn"] = application_arn
            if parameters["Grantee"]["GranteeType"] != "IAM" and instance.identity_center is None:
                center = {"IdentityCenterArn": IDENTITY_CENTER}
                self._as_admin("AssociateAccessGrantsIdentityCenter", instance.account_id, instance.region, center)
            if is_object:
                parameters["S3PrefixType"] = "Object"
            result = self._as_admin("CreateAccessGrant", instance.account_id, instance.region, parameters)
        return str(result["AccessGrantId"])

    def revoke(self, grant_id: str) -> None:
        """Delete a grant. Credentials it has vended go on working until they expire, as at AWS."""
        for instance in self._api.instances():
            if grant_id in instance.grants:
                parameters = {"AccessGrantId": grant_id}
                self._as_admin("DeleteAccessGrant", instance.account_id, instance.region, parameters)
                return
        raise ValueError(f"There is no grant {grant_id!r}")

    def share(
        self,
        account_id: str,
        region: str | None = None,
        owner: str | None = None,
        actions: Iterable[str] = CALLER_ACTIONS,
    ) -> None:
        """Let another account call these `actions` on the instance, by its resource policy.

        By default all three that callers use, as AWS RAM would write it. `InstanceScope=ALL` reaches an instance only
        where both GetDataAccess and ListCallerAccessGrants are shared.
        """
        instance = self._instance(owner or self.account_id, region or self.region)
        instance.share(account_id, list(actions))

    @property
    def lifetime(self) -> float | None:
        """How many seconds vended credentials live, whatever a request asks for; None: as long as it asks for."""
        return self._api.lifetime

    @lifetime.setter
    def lifetime(self, seconds: float | None) -> None:
        self._api.lifetime = seconds

    @property
    def find_instance_by(self) -> InstanceLookup:
        """How GetAccessGrantsInstanceForPrefix finds an instance, for AWS does not say which of the two it does.

        `"account"`: the instance of the bucket's owner in the bucket's region, whatever its locations are. AWS's own
        integration tests expect this. `"location"`: that instance, if one of its locations holds the prefix.
        """
        return self._api.find_instance_by

    @find_instance_by.setter
    def find_instance_by(self, lookup: InstanceLookup) -> None:
        if lookup not in get_args(InstanceLookup):
            raise ValueError(f"find_instance_by is 'account' or 'location', not {lookup!r}")
        self._api.find_instance_by = lookup

    # Internals

    def _make_backend(self) -> MotoBackend:
        return MotoBackend()

    def _endpoint_url(self) -> str | None:
        return None

    def _instance(self, account_id: str, region: str) -> Instance:
        with self._api.lock:
            known = self._api.find_instance(account_id, region)
            if known is None:
                self._as_admin("CreateAccessGrantsInstance", account_id, region, {})
                return self._instance(account_id, region)
            return known

    def _register(self, instance: Instance, scope: str, role: str | None) -> str:
        arn = f"arn:aws:iam::{instance.account_id}:role/{role or 'access-grants'}"
        parameters = {"LocationScope": scope, "IAMRoleArn": arn}
        result = self._as_admin("CreateAccessGrantsLocation", instance.account_id, instance.region, parameters)
        return str(result["AccessGrantsLocationId"])

    def _as_admin(self, operation: str, account_id: str, region: str, parameters: Parameters) -> Parameters:
        admin = self._identities.key_of(self.admin_of(account_id))
        try:
            return self._api.call(operation, admin, region, {"AccountId": account_id, **parameters})
        except Refusal as refusal:
            raise ValueError(str(refusal)) from refusal

    def _instance_key(self, scope: str, region: str | None, account_id: str | None) -> tuple[str, str]:
        bucket = None if scope == "s3://" else self._moto.find_bucket(parse_scope(scope).bucket)
        if bucket is not None:
            return account_id or bucket.account_id, region or bucket.region
        return account_id or self.account_id, region or self.region

    def _owner_and_region(self, uri: str) -> tuple[str, str]:
        bucket = self._moto.find_bucket(parse_scope(uri, True).bucket)
        if bucket is None:
            raise KeyError(f"there is no bucket for {uri}")
        return bucket.account_id, bucket.region

    def _send(self, request: Request, account_id: str, region: str) -> Response:
        response = self._moto.send_s3(request, account_id, region)
        if response.status == 404:
            raise KeyError(request.path)
        if response.status >= 300:
            raise ValueError(f"moto answered {response.status}: {response.body.decode(errors='replace')}")
        return response


def _grantee(grantee: Identity | DirectoryGroup | str) -> Parameters:
    if isinstance(grantee, DirectoryGroup):
        return {"GranteeType": GROUP, "GranteeIdentifier": grantee.id}
    if isinstance(grantee, Identity) and grantee.directory_user is not None:
        return {"GranteeType": USER, "GranteeIdentifier": grantee.directory_user.id}
    arn = grantee if isinstance(grantee, str) else grantee.grantees[-1]
    return {"GranteeType": "IAM", "GranteeIdentifier": arn}


def _arn(identity: Identity | str) -> str:
    return identity if isinstance(identity, str) else identity.arn


def _permission(text: str) -> str:
    if text not in ACTIONS:
        raise ValueError(f"A permission is READ, WRITE or READWRITE, not {text!r}")
    return text


def _object_request(method: str, uri: str, body: bytes = b"") -> Request:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not key:
        raise ValueError(f"An object is s3://bucket/key, not {uri!r}")
    return Request(method, "https", "s3.amazonaws.com", f"/{bucket}/{quote(key, safe='')}", body=body)
