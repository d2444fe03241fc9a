# SPDX-License-Identifier: GPL-2.0-or-later
"""An API gateway for deploy_gateway_test.sh: WebSockets, long polls, and clients' queues in its memory.

usage: gateway.py NAME PORT

SIGTERM ends it as a gateway should end: WebSockets are closed with 1001 (going away), polls are answered, and only then
does it exit. SIGUSR1 makes it say that it is too busy, SIGUSR2 that it is well again.
"""
import asyncio
import collections
import signal
import sys

from aiohttp import WSCloseCode, WSMsgType, web

name, port = sys.argv[1], int(sys.argv[2])
queues = collections.defaultdict(asyncio.Queue)
leaving = asyncio.Event()
busy = asyncio.Event()


async def who(request):
    return web.Response(text=name)


async def health(request):
    return web.Response(text="ok", status=503 if busy.is_set() else 200)


async def sooner(what, timeout=None):
    """What comes of an awaitable, or None when this gateway ends, or the time, before it does."""
    task, end = asyncio.ensure_future(what), asyncio.ensure_future(leaving.wait())
    await asyncio.wait({task, end}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    end.cancel()
    if task.done():
        return task.result()
    task.cancel()
    await asyncio.wait({task})
    return None


async def websocket(request):
    ws = web.WebSocketResponse()
    await ws.prepare(request)
    while (msg := await sooner(ws.receive())) and msg.type == WSMsgType.TEXT:
        await ws.send_str(f"{name} {msg.data}")
    await ws.close(code=WSCloseCode.GOING_AWAY if leaving.is_set() else WSCloseCode.OK)
    return ws


async def post(request):
    """An event for the client, whose poll is another connection."""
    await queues[request.remote].put(await request.text())
    return web.Response(text=name)


async def poll(request):
    """The client's next event, or 204 when there is none for so long, or when this gateway ends."""
    event = await sooner(queues[request.remote].get(), float(request.query["wait"]))
    return web.Response(text=event) if event else web.Response(status=204)


async def leave(app):
    leaving.set()


async def main():
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, busy.set)
    loop.add_signal_handler(signal.SIGUSR2, busy.clear)
    app = web.Application()
    app.add_routes([web.get("/who", who), web.get("/health", health), web.get("/ws", websocket),
                    web.post("/event", post), web.get("/poll", poll)])
    app.on_shutdown.append(leave)
    return app


web.run_app(main(), port=port, access_log=None, print=lambda *_: print("ready", flush=True), shutdown_timeout=5)
