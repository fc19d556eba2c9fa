"""Every target, by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fuzz.provider_words import ProviderWords
from fuzz.settings_text import SettingsText
from fuzz.target import Target
from fuzz.wire_lines import WireLines

TARGETS: Mapping[str, Callable[[], Target]] = {
    "wire": WireLines,
    "settings": SettingsText,
    "provider": ProviderWords,
}
