# SPDX-License-Identifier: GPL-2.0-or-later
"""Subscribers of a sequencer for deploy_ledger_test.sh: streams that stay open, each over a connection of its own.

usage: ledger_client.py ADDR:PORT

Every other stream asks five times a second, the others only when told to. Commands on stdin, each answered with a line of
key=value:
  open N     N more streams, each of which has got an answer
  speak      all streams ask
  report     nothing more
The line has: streams (open ones), broken, moved (those that another server answered), NAME (streams of that server).
"""
import asyncio
import collections
import sys

import grpc

EVERY_S, PATIENCE_S = 0.2, 5
streams, count = [], collections.Counter()


class Stream:
    async def open(self):
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        self.channel = grpc.aio.insecure_channel(sys.argv[1], options=options)
        self.call = self.channel.stream_stream("/ledger.Sequencer/Subscribe")()
        self.name, self.broken, self.lock = None, False, asyncio.Lock()
        await self.ask()
        return self

    async def ask(self):
        async with self.lock:
            if self.broken:
                return
            try:
                await asyncio.wait_for(self.call.write(b"?"), PATIENCE_S)
                answer = await asyncio.wait_for(self.call.read(), PATIENCE_S)
                name = answer.decode() if answer is not grpc.aio.EOF else None
            except (grpc.RpcError, asyncio.TimeoutError, asyncio.CancelledError, asyncio.InvalidStateError):
                name = None
            if name is None:
                self.broken = True
                count["broken"] += 1
            elif self.name not in (None, name):
                count["moved"] += 1
            self.name = self.name or name

    async def chat(self):
        while not self.broken:
            await asyncio.sleep(EVERY_S)
            await self.ask()


async def main():
    loop = asyncio.get_running_loop()
    stdin = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    while line := (await stdin.readline()).decode().split():
        if line[0] == "open":
            new = await asyncio.gather(*(Stream().open() for _ in range(int(line[1]))))
            streams.extend(new)
            for s in new[::2]:
                asyncio.ensure_future(s.chat())
        elif line[0] == "speak":
            await asyncio.gather(*(s.ask() for s in streams))
        names = collections.Counter(s.name for s in streams if not s.broken)
        print(" ".join(f"{k}={v}" for k, v in
                       {"streams": names.total(), "broken": 0, "moved": 0, **count, **names}.items()), flush=True)


asyncio.run(main())
