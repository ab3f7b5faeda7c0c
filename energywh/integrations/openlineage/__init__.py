"""Send OpenLineage events (https://openlineage.io) of syncs and builds to a file or an HTTP endpoint.

The events are built with the standard's own client, an extra: `pip install 'energywh[openlineage]'`. Nothing of it is
imported unless the settings name a file or an endpoint. A failure to deliver events never fails a sync or build: a
separate thread delivers them, and what it cannot deliver costs one warning.
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
    from energywh.models.build.events import BuildListener
    from energywh.sync.events import SyncListener

API_KEY_VARIABLE = "OPENLINEAGE_API_KEY"
SHORTEST_SECRET = 4


@dataclass(frozen=True)
class Target:
    """Where OpenLineage events go.

    Attributes:
        file: file to append them to, one JSON object a line; None for no file.
        url: endpoint to send them to; empty for none.
        namespace: namespace of the jobs.
        secrets: texts to redact from every event.
    """

    file: Path | None
    url: str = field(repr=False)  # repr=False: may be secret
    namespace: str = "energywh"
    api_key: str = field(default="", repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, settings: Settings) -> Target | None:
        """Return the target that the settings name; None if they name none.

        Raises:
            SettingsError: the endpoint is not an http(s) address.
        """
        file, url = settings.get("openlineage.file"), settings.get("openlineage.url")
        if not file and not url:
            return None
        try:
            parts = urlsplit(url)
            _ = parts.port  # raises, as hostname and port are read late
        except ValueError:  # the message omits the value: it may be a password
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
    """Return the credentials and query values of an address, both percent-encoded and decoded.

    Parts shorter than `SHORTEST_SECRET` are ignored: redacting them would make texts unreadable.
    """
    user, at, _ = address.netloc.rpartition("@")
    values = [each.partition("=")[2] for each in address.query.split("&")]
    parts = [*user.split(":", 1), address.query, *values]
    parts += [unquote(part) for part in parts]
    return [part for part in parts if len(part) >= SHORTEST_SECRET] + ([user + at] if at else [])


def build_listeners(settings: Settings, say: Callable[[str], None] = lambda text: None) -> list[BuildListener]:
    """Return the listener of a build that sends its events where the settings say, if anywhere.

    Args:
        say: takes a warning for the user, where events are lost.

    Raises:
        SettingsError: the client is not installed, or a setting is wrong.
    """
    target = Target.of(settings)
    if target is None:
        return []
    _check_installed()
    from energywh.integrations.openlineage.build_listener import OpenLineageBuild

    return [OpenLineageBuild(target, say)]


def sync_listeners(settings: Settings, say: Callable[[str], None] = lambda text: None) -> list[SyncListener]:
    """Return the listener of a sync that sends its events where the settings say, if anywhere.

    Args:
        say: takes a warning for the user, where events are lost.

    Raises:
        SettingsError: the client is not installed, or a setting is wrong.
    """
    target = Target.of(settings)
    if target is None:
        return []
    _check_installed()
    from energywh.integrations.openlineage.sync_listener import OpenLineageSync

    return [OpenLineageSync(target, say)]


def _check_installed() -> None:
    try:
        import openlineage.client  # noqa: F401 - only whether it is there
    except ImportError:
        raise SettingsError(
            "settings ask for OpenLineage events, and the OpenLineage client is not installed: "
            "pip install 'energywh[openlineage]', or leave openlineage.file and openlineage.url empty"
        ) from None
