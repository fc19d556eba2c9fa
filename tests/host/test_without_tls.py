"""The daemon's process has no OpenSSL; who wants it there gets it all the same."""

from __future__ import annotations

import subprocess
import sys

IMPORTED = "import sys; from torpord.host import without_tls; without_tls.import_asyncio(); import torpord.app, anyio; "
IMPORTED += "anyio.run(anyio.sleep, 0); "


def said(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


def test_all_of_the_daemon_is_imported_and_openssl_is_not() -> None:
    assert said(IMPORTED + "print([each for each in ('_ssl', '_hashlib') if each in sys.modules])") == "[]"


def test_who_asks_for_it_gets_the_real_one() -> None:
    asked = "import ssl, asyncio; print(ssl.SSLContext.__name__, '_ssl' in sys.modules, asyncio.sslproto.ssl)"
    assert said(IMPORTED + asked) == "SSLContext True None"


def test_where_it_was_imported_before_nothing_changes() -> None:
    kept = "import ssl; before = ssl; " + IMPORTED + "import asyncio; print(asyncio.sslproto.ssl is before)"
    assert said(kept) == "True"
