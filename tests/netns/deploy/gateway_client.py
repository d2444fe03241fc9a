# SPDX-License-Identifier: GPL-2.0-or-later
"""Clients of an API gateway for deploy_gateway_test.sh.

usage: gateway_client.py ADDR:PORT

Each client has an address of its own, a WebSocket that chats all the time, one that says nothing unless told to, a long
poll, and new connections that post events, which the poll has to get. Its home is the gateway that answered last.
Commands on stdin, each answered with a line of key=value:
  start FROM TO   clients 10.0.0.FROM to 10.0.0.TO; the answer comes when all their WebSockets are open
  speak           the silent WebSockets speak
  report          nothing more
The line has: clients, sockets (open ones), ended (closed by the gateway as it should), broken (WebSockets and polls that
ended otherwise), requests, failed (requests), events (that came), lost (that did not within 10 s), spoke (silent ones
that got an answer from the gateway that they were opened to), strayed (answers that made another gateway a client's
home), home_NAME (clients of that gateway), strayed_NAME (those that left it).
"""
import asyncio
import collections
import sys

import aiohttp

URL = f"http://{sys.argv[1]}"
CHAT_S, REQUEST_S, EVENT_S, POLL_S, LOST_S = 0.2, 0.2, 2.5, 4, 10
count = collections.Counter()
clients = []


class Client:
    def __init__(self, addr):
        self.addr, self.home, self.serial = addr, None, 0
        self.came = asyncio.Event()
        self.sockets = {}

    def session(self):
        # A connection for each request, and no time-out of aiohttp's own.
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(local_addr=(self.addr, 0), force_close=True),
                                     timeout=aiohttp.ClientTimeout(total=POLL_S + 5))

    def answered_by(self, name):
        if self.home not in (None, name):
            count["strayed"] += 1
            count["strayed_" + self.home] += 1
        self.home = name

    async def start(self):
        self.http = self.session()
        for kind in ("chat", "silent"):
            await self.open(kind)
        for task in (self.chat(), self.poll(), self.request(), self.post()):
            asyncio.ensure_future(task)

    async def open(self, kind):
        ws = await self.http.ws_connect(URL + "/ws", timeout=5)
        ws.name, ws.answers = None, asyncio.Queue()
        self.sockets[kind] = ws
        asyncio.ensure_future(self.read(kind, ws))
        await self.ask(ws)
        self.answered_by(ws.name)

    async def read(self, kind, ws):
        """All that comes over a WebSocket, until it ends; then another is opened in its place."""
        async for msg in ws:
            name = msg.data.split()[0]
            ws.name = ws.name or name
            ws.answers.put_nowait(name)
        count["ended" if ws.close_code == aiohttp.WSCloseCode.GOING_AWAY else "broken"] += 1
        ws.answers.put_nowait(None)
        await self.open(kind)

    async def ask(self, ws):
        """One question; was it answered by the gateway that the WebSocket was opened to?"""
        try:
            await ws.send_str("hello")
            return await asyncio.wait_for(ws.answers.get(), 5) == ws.name
        except (OSError, asyncio.TimeoutError):
            await ws.close()  # read() tells how it ended
            return False

    async def chat(self):
        while True:
            await asyncio.sleep(CHAT_S)
            await self.ask(self.sockets["chat"])

    async def speak(self):
        if await self.ask(self.sockets["silent"]):
            count["spoke"] += 1

    async def poll(self):
        while True:
            try:
                async with self.http.get(f"{URL}/poll?wait={POLL_S}") as r:
                    text = await r.text()
                    if r.status == 200 and text == str(self.serial):
                        self.came.set()
            except (OSError, aiohttp.ClientError, asyncio.TimeoutError):
                count["broken"] += 1
                await asyncio.sleep(CHAT_S)

    async def fetch(self, ask):
        count["requests"] += 1
        try:
            async with ask as r:
                self.answered_by(await r.text())
                return True
        except (OSError, aiohttp.ClientError, asyncio.TimeoutError):
            count["failed"] += 1
            return False

    async def request(self):
        while True:
            await asyncio.sleep(REQUEST_S)
            await self.fetch(self.http.get(URL + "/who"))

    async def post(self):
        while True:
            await asyncio.sleep(EVENT_S)
            self.serial += 1
            self.came.clear()
            if not await self.fetch(self.http.post(URL + "/event", data=str(self.serial))):
                continue
            try:
                await asyncio.wait_for(self.came.wait(), LOST_S)
                count["events"] += 1
            except asyncio.TimeoutError:
                count["lost"] += 1


def report():
    line = {"clients": len(clients), "sockets": sum(len(c.sockets) for c in clients), "failed": 0, "broken": 0, "lost": 0,
            "strayed": 0, "spoke": 0, **count, **{"home_" + n: k for n, k in
                                                   collections.Counter(c.home for c in clients).items()}}
    print(" ".join(f"{k}={v}" for k, v in line.items()), flush=True)


async def main():
    loop = asyncio.get_running_loop()
    stdin = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    while line := (await stdin.readline()).decode().split():
        if line[0] == "start":
            new = [Client(f"10.0.0.{i}") for i in range(int(line[1]), int(line[2]) + 1)]
            await asyncio.gather(*(c.start() for c in new))
            clients.extend(new)
        elif line[0] == "speak":
            count["spoke"] = 0
            await asyncio.gather(*(c.speak() for c in clients))
        report()


asyncio.run(main())
