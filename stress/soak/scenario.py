"""Who there is, what they may do, and what they try: written down plainly, for the load and the oracle alike."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

BUCKET = "soak"
REGION = "us-east-1"
# The service writes whole seconds, so what is vended lives 3 to 4 s: it is renewed after three quarters of that.
LIFE_SECONDS = 4
MOVING = 4  # folders a person whose grants come and go


@dataclass(frozen=True)
class Person:
    """An identity and the options it is registered with; ``rotates``: its own keys are replaced every few seconds."""

    name: str
    fallback: str
    cache: str = "memory"
    rotates: bool = False


PEOPLE = (
    Person("alice", "denied"),
    Person("bob", "denied", cache="disk"),
    Person("carol", "never"),
    Person("dave", "always", rotates=True),
)
BY_NAME = {person.name: person for person in PEOPLE}
# Makes no calls, so whatever is signed as this identity is signed wrongly.
STRANGER = "mallory"

# zone → the permission that a grant gives there for good, and what everybody may do there without any grant.
ZONES: dict[str, tuple[str | None, str | None]] = {
    "steady": ("READWRITE", None),
    "object": ("READ", None),
    "shared": ("READ", "READWRITE"),
    "own": (None, "READWRITE"),
    "foreign": (None, None),
    "moving": ("READWRITE", "READWRITE"),  # now and then
}
WEIGHTS = {"steady": 8, "object": 2, "shared": 4, "own": 2, "foreign": 1, "moving": 6}
SERVES = {"READ": ("READ",), "WRITE": ("WRITE",), "READWRITE": ("READ", "WRITE", "READWRITE")}
PERMISSIONS = {
    "get_object": "READ",
    "head_object": "READ",
    "list_objects_v2": "READ",
    "put_object": "WRITE",
    "delete_objects": "WRITE",
    "copy_object": "READWRITE",
}


@dataclass
class Work:
    """One call of the program, and how it ended: ``"ok"``, or the name of an error, with S3's code after a colon.

    ``began`` and ``ended`` are epoch seconds. ``prefix`` is the folder (or the key, in the zone ``object``).
    """

    id: str
    person: str
    side: str
    method: str
    zone: str
    prefix: str
    parameters: dict[str, Any]
    generation: int = 0
    began: float = 0.0
    ended: float = 0.0
    ending: str = ""
    message: str = field(default="", repr=False)

    @property
    def permission(self) -> str:
        """What the call needs."""
        return PERMISSIONS[self.method]


def moving_folder(name: str, number: int) -> str:
    """A folder whose grant comes and goes."""
    return f"moving/{name}/{number}/"


def prefix_of(zone: str, name: str, random: Random) -> str:
    """Where in the bucket a person works."""
    if zone == "shared":
        return "shared/"
    if zone == "foreign":
        return f"steady/{random.choice([other.name for other in PEOPLE if other.name != name])}/"
    if zone == "moving":
        return moving_folder(name, random.randrange(MOVING))
    return f"object/{name}" if zone == "object" else f"{zone}/{name}/"


def folders(name: str) -> list[str]:
    """Every folder in which a person's reads find something."""
    return [f"steady/{name}/", "shared/", f"own/{name}/", *(moving_folder(name, number) for number in range(MOVING))]


def choose(random: Random, name: str, worker: str, number: int, side: str) -> Work:
    """Draw what a worker does next."""
    zone = random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    prefix = prefix_of(zone, name, random)
    if zone == "object":
        method = random.choice(["get_object", "head_object"])
    elif zone == "foreign":
        method = random.choice(["get_object", "put_object"])
    else:
        method = random.choice(["get_object", "get_object", *PERMISSIONS])
    base, written, copied = f"{prefix}base", f"{prefix}w-{worker}", f"{prefix}c-{worker}"
    parameters: dict[str, Any] = {"Bucket": BUCKET}
    if method == "put_object":
        parameters |= {"Key": written, "Body": worker.encode()}
    elif method == "list_objects_v2":
        parameters |= {"Prefix": prefix, "MaxKeys": 5}
    elif method == "copy_object":
        parameters |= {"Key": copied, "CopySource": {"Bucket": BUCKET, "Key": base}}
    elif method == "delete_objects":
        parameters |= {"Delete": {"Objects": [{"Key": written}, {"Key": copied}], "Quiet": True}}
    else:
        parameters |= {"Key": prefix if zone == "object" else base}
    return Work(f"{worker}.{number}", name, side, method, zone, prefix, parameters)
