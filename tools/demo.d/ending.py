"""How a director ends in order: Ctrl-C and SIGTERM cancel what is played, so that everything it started is stopped."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Coroutine


async def interruptible(name: str, performance: Coroutine[None, None, int]) -> int:
    """Plays; the exit status, 130 if it was interrupted."""
    task = asyncio.ensure_future(performance)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        return await task
    print(f"\n{name}: interrupted; everything is stopped", file=sys.stderr)
    return 130
