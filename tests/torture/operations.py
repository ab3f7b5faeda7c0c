"""Watch the file operations of a command, one at a time, and end it or refuse the disk at any of them.

The kernel stops a thread before each system call that changes a file, and tells this process by seccomp's user
notifications (Linux 5.9). What DuckDB and Arrow do in C++ is seen like what Python does, by all threads in one order.
Facts: man 2 seccomp_unotify. The numbers of the system calls stand in `system_calls.csv`.
"""

from __future__ import annotations

import csv
import ctypes
import errno
import fcntl
import os
import platform
import select
import socket
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_SECCOMP = {"x86_64": 317, "aarch64": 277}
_NO_NEW_PRIVILEGES, _SET_FILTER, _NEW_LISTENER = 38, 1, 1 << 3
_RECEIVE, _SEND, _CONTINUE = 0xC0502100, 0xC0182101, 1
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_NOTIFY, _ALLOW = 0x7FC00000, 0x7FFF0000
_CLONE = 0x40049409  # the one ioctl that writes: FICLONE
_AT_HERE = -100
_WRITES_CREATE = os.O_CREAT | os.O_TRUNC


@dataclass(frozen=True)
class SystemCall:
    """A system call that changes files, and which of its arguments say where."""

    name: str
    number: int
    path: str  # fdN: a descriptor; pathN: a path; atN: a folder's descriptor and a path
    other: str  # the second path, of a rename or link
    needs_room: bool


@dataclass(frozen=True)
class Operation:
    """One change of a file: the call, the file, and the other name of a rename or link."""

    name: str
    path: Path
    other: Path | None
    needs_room: bool

    def __str__(self) -> str:
        return f"{self.name} {self.path}" + (f" -> {self.other}" if self.other else "")


@cache
def system_calls() -> tuple[SystemCall, ...]:
    """Return the calls of this machine's architecture."""
    with Path(__file__).with_name("system_calls.csv").open(newline="", encoding="utf-8") as file:
        return tuple(
            SystemCall(row["name"], int(row[platform.machine()]), row["path"], row["other"], row["needs_room"] == "yes")
            for row in csv.DictReader(file)
            if row[platform.machine()]
        )


def can_watch() -> bool:
    """Return whether this system can stop a process before each file operation."""
    return sys.platform == "linux" and platform.machine() in _SECCOMP and _is_permitted()


@cache
def _is_permitted() -> bool:
    child = os.fork()
    if child == 0:
        try:
            _install()
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def _install() -> int:
    """Have each call of this thread, and of those that it starts, wait for an answer; return the descriptor to ask."""
    # Offsets into struct seccomp_data: the number at 0, the lower half of argument n at 16 + 8 n.
    lines: list[tuple[int, int, int, int]] = [(_LOAD, 0, 0, 0)]
    for call in system_calls():
        match call.name:
            case "open" | "openat" | "ioctl":
                at, test, word = {
                    "open": (24, _ANY_BIT, _WRITES_CREATE),
                    "openat": (32, _ANY_BIT, _WRITES_CREATE),
                    "ioctl": (24, _EQUAL, _CLONE),
                }[call.name]
                lines += [(_EQUAL, 0, 4, call.number), (_LOAD, 0, 0, at), (test, 0, 1, word)]
                lines += [(_RETURN, 0, 0, _NOTIFY), (_RETURN, 0, 0, _ALLOW)]
            case _:
                lines += [(_EQUAL, 0, 1, call.number), (_RETURN, 0, 0, _NOTIFY)]
    lines.append((_RETURN, 0, 0, _ALLOW))
    code = b"".join(struct.pack("<HBBI", *line) for line in lines)
    held = ctypes.create_string_buffer(code, len(code))
    program = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", len(lines), ctypes.addressof(held)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    listener = libc.syscall(_SECCOMP[platform.machine()], _SET_FILTER, _NEW_LISTENER, program)
    if listener < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return int(listener)


def be_watched(link: socket.socket) -> None:
    """Stop before each file operation from now on; the process at the other end of ``link`` answers."""
    listener = _install()
    socket.send_fds(link, [b"x"], [listener])
    os.close(listener)
    link.close()


Answer = Callable[[Operation], int]  # 0: go on; an errno: the operation fails with it


def answer_all(link: socket.socket, root: Path, answer: Answer, seconds: float) -> bool:
    """Answer the operations of a watched process on files below ``root`` until it ends; all others go on.

    Returns:
        False if the process did not end within ``seconds`` without an operation.
    """
    _, (listener, *_), _, _ = socket.recv_fds(link, 1, 1)
    calls = {call.number: call for call in system_calls()}
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    try:
        while True:
            found = poll.poll(seconds * 1000)
            if not found:
                return False
            if found[0][1] & select.POLLHUP:
                return True
            notice = bytearray(80)
            try:
                fcntl.ioctl(listener, _RECEIVE, notice)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.EINTR):  # it was killed meanwhile
                    continue
                raise
            number, process = struct.unpack_from("<Q", notice)[0], struct.unpack_from("<I", notice, 8)[0]
            call = calls[struct.unpack_from("<i", notice, 16)[0]]
            operation = _operation(call, process, struct.unpack_from("<6Q", notice, 32))
            refusal = 0
            if operation is not None and any(
                path is not None and path.is_relative_to(root) for path in (operation.path, operation.other)
            ):
                refusal = answer(operation)
            reply = struct.pack("<QqiI", number, 0, -refusal, 0 if refusal else _CONTINUE)
            try:
                fcntl.ioctl(listener, _SEND, bytearray(reply))
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.EINTR):
                    raise
    finally:
        os.close(listener)


def _operation(call: SystemCall, process: int, arguments: tuple[int, ...]) -> Operation | None:
    try:
        path = _place(call.path, process, arguments)
        other = _place(call.other, process, arguments) if call.other else None
    except OSError:  # the process is gone, or the call is wrong and will fail
        return None
    return None if path is None else Operation(call.name, path, other, call.needs_room)


def _place(kind: str, process: int, arguments: tuple[int, ...]) -> Path | None:
    """Return the file that an argument names; None for a socket, a pipe and such."""
    first = int(kind[-1])
    if kind.startswith("fd"):
        target = str(Path(f"/proc/{process}/fd/{arguments[first] & 0xFFFFFFFF}").readlink())
        return Path(target.removesuffix(" (deleted)")) if target.startswith("/") else None
    folder = f"/proc/{process}/cwd"
    if kind.startswith("at"):
        descriptor = ctypes.c_int32(arguments[first] & 0xFFFFFFFF).value
        folder = folder if descriptor == _AT_HERE else f"/proc/{process}/fd/{descriptor}"
        first += 1
    name = os.fsdecode(_text(process, arguments[first]))
    return Path(os.path.normpath(name if name.startswith("/") else Path(folder).readlink() / name))


def _text(process: int, address: int) -> bytes:
    with Path(f"/proc/{process}/mem").open("rb", buffering=0) as memory:
        found = b""
        while b"\0" not in found and len(found) < 4096:
            memory.seek(address + len(found))
            found += memory.read(4096 - (address + len(found)) % 4096)  # a page at a time: the next may not be there
        return found.split(b"\0", 1)[0]
