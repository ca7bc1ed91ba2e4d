"""What the hooks of a provider share: options, what is remembered, counts, notices, clients, disk.

``settings`` is exchanged as a whole, after the new one is complete: what fails while it is built leaves the old options
in force, and each attempt of a request is decided and recovered under one set of options.
"""

import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from ..core.caller_state import CallerStates
from ..core.clock import Clock
from ..core.config import AccessGrantsConfig
from ..core.flow_context import DECISIONS_LOGGER, FlowContext, PendingLog
from ..core.io_requests import ControlCall
from ..core.operations import RequiredAccess
from ..core.resolver import Resolution, decision_of
from ..exceptions import ConfigurationError
from .api_calls import ApiCall
from .counters import Counters
from .internal_clients import internal_clients
from .notices import Notices

if TYPE_CHECKING:
    from .disk_steps import DiskSteps

__all__ = ["Observer", "Runtime", "Settings"]

logger = logging.getLogger(DECISIONS_LOGGER)

Observer = Callable[[ControlCall, ApiCall, float, Exception | None], object]


class Settings(NamedTuple):
    """One set of options, and what is remembered under it. ``disk`` is None unless ``cache="disk"``."""

    config: AccessGrantsConfig
    states: CallerStates
    disk: "DiskSteps | None"


def jitter(seconds: float) -> float:
    """Return a random time up to ``seconds``."""
    return random.uniform(0, seconds)  # noqa: S311  nothing is kept secret by it


class Runtime:
    """What is behind one provider. Safe for threads; it has no lock."""

    def __init__(self, config: AccessGrantsConfig, *, profile: str | None = None, clock: Clock | None = None) -> None:
        self.profile = profile
        self.clock = clock or Clock(time.time, time.monotonic)
        self.jitter: Callable[[float], float] = jitter
        self.closed = False
        # Told of each control call: what it asks, the call, how many seconds it took, and the error if it failed.
        self.observer: Observer | None = None
        self.counters = Counters()
        self.notices = Notices()
        self.clients = internal_clients(profile)
        self.settings = self._settings(config)

    def configure(self, config: AccessGrantsConfig) -> None:
        """Go on with other options. What was remembered under the old ones is forgotten.

        Raises :class:`ConfigurationError`; then the old ones stay in force.
        """
        self.settings = self._settings(config)
        self.notices.start_over()

    def start_over(self) -> None:
        """Forget everything that is remembered in this process."""
        # A call that is under way now ends in the old states, where no later request looks.
        self.settings = self.settings._replace(states=self._states(self.settings.config))
        self.notices.start_over()

    def flow_context(self, settings: Settings, event_loop: object = None, may_wait: bool = True) -> FlowContext:
        """Return what one decision is made with."""
        return FlowContext(settings.config, self.clock, self.jitter, PendingLog(), event_loop, may_wait)

    def is_vended_session(self, access_key: str) -> bool:
        """Tell whether another process of this user has handed out this session's credentials as a grant's."""
        # On demand: who signs with long-lived keys does without.
        from ..disk import VendedSessions, default_folder

        try:
            return VendedSessions(default_folder(), self.clock.wall).is_vended_session(access_key)
        except ConfigurationError:
            return False

    def reports(self, settings: Settings) -> bool:
        """Tell whether anybody wants to know of each decision."""
        return settings.config.on_decision is not None or logger.isEnabledFor(logging.DEBUG)

    def report(
        self, settings: Settings, operation: str, access: RequiredAccess, region: str | None, resolution: Resolution
    ) -> None:
        """Tell whoever wants to know of a decision: the log, and ``on_decision``, whose errors are not caught."""
        if not self.reports(settings):
            return
        decision = decision_of(operation, access, region, resolution)
        logger.debug("%s", decision)
        if settings.config.on_decision is not None:
            settings.config.on_decision(decision)

    @contextmanager
    def observed(self, call: ControlCall, api_call: ApiCall) -> Iterator[None]:
        """Tell :attr:`observer`, if there is one, of the control call that is made within the block."""
        started = time.monotonic()
        failed: Exception | None = None
        try:
            yield
        except Exception as error:
            failed = error
            raise
        finally:
            if self.observer is not None:
                self.observer(call, api_call, time.monotonic() - started, failed)

    def _settings(self, config: AccessGrantsConfig) -> Settings:
        if config.on_decision is not None:
            # Now: in a process that is forked while another thread imports it, nobody could import it any more.
            from ..core import decision as _  # noqa: F401
        return Settings(config, self._states(config), self._disk(config))

    def _states(self, config: AccessGrantsConfig) -> CallerStates:
        return CallerStates(config.privilege, self.clock)

    def _disk(self, config: AccessGrantsConfig) -> "DiskSteps | None":
        if config.cache != "disk":
            return None
        # On demand: most programs do without, and importing it takes time.
        from .disk_steps import DiskSteps

        return DiskSteps(config, self.clock.wall)
