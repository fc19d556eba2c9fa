"""The daemon without OpenSSL: it speaks over a Unix socket alone, and TLS is an eighth of its memory.

asyncio goes without where `ssl` cannot be imported, as in a Python that was built so. anyio names a class of it in the
module that has its sockets and `wait_readable`: while that is imported it is given a stand-in. Whoever imports `ssl`
later gets the real one. With another version of anyio that names more, all is as if this were not here.
"""

from __future__ import annotations

import sys
from types import ModuleType


def import_asyncio() -> None:
    """Import asyncio and anyio without `ssl`, unless that is there already. For the daemon alone, before all else."""
    if "ssl" in sys.modules:
        return
    stand_in = ModuleType("ssl")
    stand_in.SSLContext = type("SSLContext", (), {})  # type: ignore[attr-defined]
    sys.modules["ssl"] = None  # type: ignore[assignment]  # the import system's own way to say that there is none
    try:
        import asyncio  # noqa: F401, PLC0415 - for what it finds now

        sys.modules["ssl"] = stand_in
        from anyio import wait_readable  # noqa: F401, PLC0415 - likewise
    except (AttributeError, ImportError):
        for name in [name for name in sys.modules if name.startswith("anyio")]:
            del sys.modules[name]
    finally:
        del sys.modules["ssl"]
