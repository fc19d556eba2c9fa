"""Every target, by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fuzz.damaged_home import DamagedHome
from fuzz.home_files import HomeFiles
from fuzz.hook_payload import HookPayload
from fuzz.left_files import LeftFiles
from fuzz.living_daemon import LivingDaemon
from fuzz.provider_words import ProviderWords
from fuzz.run_document import RunDocument
from fuzz.settings_text import SettingsText
from fuzz.target import Target
from fuzz.wire_lines import WireLines
from fuzz.worker_lines import WorkerLines

TARGETS: Mapping[str, Callable[[], Target]] = {
    "wire": WireLines,
    "settings": SettingsText,
    "provider": ProviderWords,
    "worker": WorkerLines,
    "document": RunDocument,
    "wake.d": LeftFiles,
    "hook": HookPayload,
    "home": HomeFiles,
    "doctor": DamagedHome,
    "daemon": LivingDaemon,
}
