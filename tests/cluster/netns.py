"""Holds a fresh network namespace and carries connections from the host into it.

Run as a program, with the standard library only: argument 1 is an inherited Unix socket. Over it come
listening sockets of the host, each with the port to connect to inside; the answer is "done" or what went
wrong. Ends when the socket's other end does, and the namespace with it.
"""

import asyncio
import contextlib
import ctypes
import fcntl
import os
import socket
import struct
import sys

_CLONE_NEWNET = 0x40000000
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1


def enter_fresh_namespace() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), f"unshare: {os.strerror(ctypes.get_errno())}")
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh", b"lo", _IFF_UP))


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(1 << 16):
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.transport.abort()  # a reset on one side is a reset on the other


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    try:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        writer.transport.abort()
        return
    await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer))
    for side in (writer, inner_writer):
        side.close()
        with contextlib.suppress(OSError):
            await side.wait_closed()


async def serve(control: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    servers: list[asyncio.Server] = []

    async def add(listener: socket.socket, port: int) -> None:
        try:
            server = await asyncio.start_server(lambda reader, writer: carry(reader, writer, port), sock=listener)
        except OSError as error:
            control.sendall(str(error).encode())
            return
        servers.append(server)
        control.sendall(b"done")

    adding: set[asyncio.Task[None]] = set()

    def on_control() -> None:
        message, descriptors, _, _ = socket.recv_fds(control, 64, 1)
        if not message:
            ended.set()
            return
        adding.add(loop.create_task(add(socket.socket(fileno=descriptors[0]), int(message))))

    loop.add_reader(control.fileno(), on_control)
    await ended.wait()


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    try:
        enter_fresh_namespace()
    except OSError as error:
        control.sendall(str(error).encode())
        return
    control.sendall(b"done")
    asyncio.run(serve(control))


if __name__ == "__main__":
    main()
