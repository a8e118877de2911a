"""Ctrl-C: one press ends a command, wherever it comes, with one line."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from types import FrameType
from typing import Any, NoReturn

_AGAIN = 0.05
"""Seconds until an interrupt that was swallowed comes again: the finalizer that it met is over by then."""


def heed_interrupts() -> None:
    """Have Ctrl-C end the command whatever it meets, and nothing but the command speak of it.

    Python swallows an interrupt that meets a finalizer, where no error can be raised: it comes again. Threads that fail
    because of it, such as that of a pool whose workers it ended, print no traceback.
    """
    told = sys.unraisablehook

    def hook(error: Any) -> None:
        if issubclass(error.exc_type, KeyboardInterrupt):
            again = threading.Timer(_AGAIN, _interrupt_main_thread)
            again.daemon = True
            again.start()
        else:
            told(error)

    sys.unraisablehook = hook
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored, as by nohup
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt_main_thread() -> None:
    if sys.platform == "win32":
        _thread.interrupt_main()
    else:  # a signal of its own, which ends a wait too
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def _interrupt(number: int, frame: FrameType | None) -> None:
    threading.excepthook = lambda _: None
    signal.default_int_handler(number, frame)


def die_at_once() -> None:
    """Have Ctrl-C end this process without a word: a worker of a command, which says it for all of them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def interrupted() -> NoReturn:
    """Say that Ctrl-C ended the command, and exit with 130."""
    sys.stderr.write("bedside: interrupted; what was finished stays, and nothing is half done\n")
    sys.exit(130)
