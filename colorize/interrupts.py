"""What Ctrl-C does while the program runs; imports nothing that takes time.

An interrupt between two lines of a module that is being imported breaks it: what comes of it is no
KeyboardInterrupt but an AttributeError of numpy, or the end of the process inside of torch. So the program
ends at once as long as nothing was begun, and afterwards an interrupt waits until the import is done.
"""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False  # as in `typing`, whose import would take longer than what is here
if TYPE_CHECKING:
    from types import FrameType
    from typing import NoReturn

CODE = 130  # 128 + SIGINT, as shells have it
WAIT = 0.02  # seconds until an interrupt is tried again
IMPORTS = "<frozen importlib"  # where Python keeps what imports modules


class _State:
    begun = False  # something that must be ended properly
    pressed = False


def watch() -> None:
    """Handle Ctrl-C from now on, unless it is ignored, as in a shell's background."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _press)


def begin() -> None:
    """From here on Ctrl-C raises KeyboardInterrupt, so that what is begun can be ended."""
    import threading  # noqa: F401 - it must be there when `_press` needs it

    _State.begun = True


def end() -> None:
    """From here on Ctrl-C ends the program at once."""
    _State.begun = False


def pressed() -> bool:
    """Tell whether Ctrl-C was pressed since `begin`; whatever failed since then failed of that."""
    return _State.pressed


def check() -> None:
    """Raise KeyboardInterrupt if Ctrl-C was pressed: some libraries swallow it."""
    if _State.pressed:
        raise KeyboardInterrupt


def leave(code: int) -> NoReturn:
    """End the process; after Ctrl-C by the signal itself, which shells show as 130, so that their loops end, too."""
    if code == CODE and os.name == "posix":
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(code)


def _press(_number: int, frame: FrameType | None) -> None:
    if not _State.begun:
        if not _State.pressed:  # else the user knows why
            try:  # noqa: SIM105 - contextlib may be the very module that is being imported
                os.write(2, b"error: interrupted\n")
            except OSError:  # standard error is closed
                pass
        leave(CODE)
    while frame is not None and not frame.f_code.co_filename.startswith(IMPORTS):
        frame = frame.f_back
    if frame is None:
        _State.pressed = True
        raise KeyboardInterrupt
    import threading

    later = threading.Timer(WAIT, _press_again)  # something is being imported
    later.daemon = True
    later.start()


def _press_again() -> None:
    """Send the main thread an interrupt that also ends its waiting, as for a disk."""
    import _thread
    import threading

    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:  # Windows
        _thread.interrupt_main()
