"""Deadlines by the wall clock, which also goes on while the machine is suspended and jumps when somebody sets it.

asyncio's timers count awake time only and know nothing of steps. On Linux a timerfd on CLOCK_REALTIME does both.
"""

from __future__ import annotations

import ctypes
import enum
import errno
import math
import os
import sys
import time

import anyio

_FAR_S = 2**33  # the year 2242: armed only to be told of steps, and below the kernel's largest time
_ABSTIME, _CANCEL_ON_SET = 1, 2  # timerfd_create(2): TFD_TIMER_ABSTIME, TFD_TIMER_CANCEL_ON_SET


class Ring(enum.StrEnum):
    """Why a wait ended."""

    DUE = "due"
    STEPPED = "stepped"  # the clock was set, or the machine resumed: compute the deadlines anew


class _Timerfd:
    """By ctypes on every version (os.timerfd_create is there from 3.13): `watch` needs ctypes anyway, and one way is
    tested everywhere."""  # noqa: D205, D209 - one thought

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self._libc.timerfd_create(time.CLOCK_REALTIME, os.O_CLOEXEC | os.O_NONBLOCK)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "timerfd")

    def arm(self, at_s: float) -> Ring | None:
        # itimerspec: interval, then value. A value of zero would disarm: the past is due at the first nanosecond.
        at_ns = max(1, math.ceil(at_s * 1e9))
        spec = (ctypes.c_long * 4)(0, 0, at_ns // 1_000_000_000, at_ns % 1_000_000_000)
        if self._libc.timerfd_settime(self.fd, _ABSTIME | _CANCEL_ON_SET, ctypes.byref(spec), None) == 0:
            return None
        if ctypes.get_errno() == errno.ECANCELED:  # stepped since the last wait; it is armed nevertheless
            return Ring.STEPPED
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "timerfd")

    def read(self) -> Ring | None:
        try:
            os.read(self.fd, 8)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno != errno.ECANCELED:
                raise
            return Ring.STEPPED
        return Ring.DUE

    def close(self) -> None:
        os.close(self.fd)


class WallAlarm:
    """One alarm on the wall clock; one waiter at a time. Raises OSError where the system has no such timer."""

    def __init__(self) -> None:
        if sys.platform == "darwin":
            from torpord.host import macos  # noqa: PLC0415 - on macOS alone

            self._timer: macos.WallTimer | None = macos.WallTimer()
        else:
            self._timer: _Timerfd | None = _Timerfd()

    async def wait(self, at_s: float | None) -> Ring:
        """Wait until the wall clock shows `at_s` (seconds since the epoch; the past is due at once) or is set.

        None waits for a step alone (macOS: for ever). A step between two waits is told at the beginning of the next.
        """
        if self._timer is None:
            raise ValueError("the alarm is closed")
        ring = self._timer.arm(_FAR_S if at_s is None else min(at_s, _FAR_S))
        while ring is None:
            await anyio.wait_readable(self._timer.fd)
            ring = self._timer.read()
        return ring

    def close(self) -> None:
        """Give the timer back. Cancel the waiter first."""
        if self._timer is not None:
            self._timer.close()
            self._timer = None
