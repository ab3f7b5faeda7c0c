"""OpenLineage events of sync and build (https://openlineage.io), to a file or an HTTP endpoint, where set.

Only this module is imported when nothing is set. The events are those of the standard's own client, an extra:
`pip install 'energywh[openlineage]'`. Telling others must never hurt the work that is told of: events are written and
sent by a thread of their own, and what cannot be delivered costs one warning.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

from energywh.errors import SettingsError

if TYPE_CHECKING:
    from energywh.config.settings import Settings
    from energywh.core.paths import Home
    from energywh.models.build.runner import BuildReport, Listener
    from energywh.sync.runner import SyncResult
    from energywh.sync.selection import Selection

API_KEY_VARIABLE = "OPENLINEAGE_API_KEY"
SHORTEST_SECRET = 4


@dataclass(frozen=True)
class Target:
    """Where events go.

    Attributes:
        file: events are appended to it, one JSON a line; None for no file.
        url: endpoint that they are sent to; empty for none.
        namespace: of the jobs.
        secrets: what no event may hold.
    """

    file: Path | None
    url: str = field(repr=False)  # repr=False: may be secret
    namespace: str = "energywh"
    api_key: str = field(default="", repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, settings: Settings) -> Target | None:
        """Return where the settings send events, or None where they ask for none.

        Raises:
            SettingsError: the endpoint is not an address.
        """
        file, url = settings.get("openlineage.file"), settings.get("openlineage.url")
        if not file and not url:
            return None
        try:
            parts = urlsplit(url)
            _ = parts.port  # raises, as hostname and port are read late
        except ValueError:  # not shown: what is no address cannot be told from a password
            raise SettingsError(
                "setting 'openlineage.url' is not an address: its host or port cannot be read; give one such as "
                "https://host:5000/api/v1/lineage"
            ) from None
        if url and (parts.scheme not in ("http", "https") or not parts.hostname):
            shown = settings.items["openlineage.url"].shown
            raise SettingsError(f"setting 'openlineage.url' must be an http(s) address, not '{shown}'")
        key = os.environ.get(API_KEY_VARIABLE, "")
        secrets = [str(item.value) for item in settings.items.values() if item.option.secret]
        secrets = [secret for secret in [*secrets, key] if secret] + _secrets_of(parts)
        longest_first = tuple(sorted(set(secrets), key=lambda secret: (-len(secret), secret)))
        return cls(file or None, url, settings.get("openlineage.namespace"), key, longest_first)

    def redacted(self, text: str) -> str:
        """Return ``text`` without anything secret."""
        for secret in self.secrets:
            text = text.replace(secret, "REDACTED")
        return text


def _secrets_of(address: SplitResult) -> list[str]:
    """Return what may be secret in an address, as it stands there and as it is meant.

    Parts of a few characters are left out: text without them could not be read, and they are no secret.
    """
    user, at, _ = address.netloc.rpartition("@")
    values = [each.partition("=")[2] for each in address.query.split("&")]
    parts = [*user.split(":", 1), address.query, *values]
    parts += [unquote(part) for part in parts]
    return [part for part in parts if len(part) >= SHORTEST_SECRET] + ([user + at] if at else [])


def tell_sync(
    settings: Settings, selection: Selection, say: Callable[[str], None], work: Callable[[], SyncResult]
) -> SyncResult:
    """Do ``work``, a sync of ``selection``, and tell of it where the settings ask for that.

    Raises:
        SettingsError: the client is not installed, or a setting is wrong; nothing was done.
    """
    target = Target.of(settings)
    if target is None:
        return work()
    _check_installed()
    from energywh.integrations.openlineage.syncing import told

    return told(target, settings, selection, say, work)


def tell_build(
    target: Target | None, home: Home, listener: Listener, work: Callable[[Listener], BuildReport]
) -> BuildReport:
    """Do ``work``, a build into ``home`` that a listener hears of, and tell of it where there is a target.

    Raises:
        SettingsError: the client is not installed; nothing was done.
    """
    if target is None:
        return work(listener)
    _check_installed()
    from energywh.integrations.openlineage.building import told

    return told(target, home, listener, work)


def _check_installed() -> None:
    try:
        import openlineage.client  # noqa: F401 - only whether it is there
    except ImportError:
        raise SettingsError(
            "settings ask for OpenLineage events, and the OpenLineage client is not installed: "
            "pip install 'energywh[openlineage]', or leave openlineage.file and openlineage.url empty"
        ) from None
