"""The page with everything that stands before it, from the settings: one call for who serves it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.routing import Mount

from edge.page.access import check_access, serving
from edge.page.accounts import Accounts
from edge.page.directory import Directory
from edge.page.gate import Gate
from edge.page.guard import Guard
from edge.page.sign_in import sign_in_routes
from edge.reports.routes import report_routes

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp

    from edge.configuration.config import GatewayConfig
    from edge.reports.handover import Now


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What is served. options: for uvicorn, beside host and port; warnings: to be logged first."""

    app: Guard
    gate: Gate
    options: dict[str, Any]
    warnings: list[str]


def signed(
    app: ASGIApp,
    config: GatewayConfig,
    *,
    host: str,
    clock_s: Callable[[], float] = time.monotonic,
    now: Callable[[], Now | None] = lambda: None,
) -> Signed:
    """A page behind sign-in and guard, with the reports beside it.

    now: what the page has heard of jobs and of what is blind. Raises ConfigError where it must not
    listen at `host`.
    """
    accounts = Accounts(config.path(config.page.users_file))
    warnings = check_access(config.page, host, users=accounts.has_users(), users_file=accounts.path)
    ldap = config.page.ldap
    directory = None if ldap is None else Directory(ldap, config.path(""))
    gate = Gate(config.page, accounts, host=host, clock_s=clock_s, directory=directory)
    routes = [*sign_in_routes(gate), *report_routes(config, now), Mount("/", app)]
    whole = Starlette(routes=routes)
    options = serving(config.page, config.path(""))
    return Signed(app=Guard(whole, gate), gate=gate, options=options, warnings=warnings)
