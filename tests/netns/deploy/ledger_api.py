# SPDX-License-Identifier: GPL-2.0-or-later
"""A JSON API for deploy_ledger_test.sh, a client of the participant.

usage: ledger_api.py NAME PORT PARTICIPANT-ADDR:PORT

POST /v1/submit is answered with {"api": its name, "participant": who has taken it}; GET /readyz with 200, after SIGUSR1
with 503. Each request has a connection of its own to the participant.
"""
import asyncio
import signal
import sys

import grpc
from aiohttp import web

name, port, participant = sys.argv[1], int(sys.argv[2]), sys.argv[3]
busy = asyncio.Event()


async def submit(request):
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(participant, options=options) as channel:
        try:
            answer = await channel.unary_unary("/ledger.Participant/Submit")(await request.read(), timeout=5)
        except grpc.RpcError as e:
            return web.json_response({"api": name, "error": e.code().name}, status=502)
    return web.json_response({"api": name, "participant": answer.decode()})


async def readyz(request):
    return web.Response(status=503 if busy.is_set() else 200)


async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, busy.set)
    app = web.Application()
    app.add_routes([web.post("/v1/submit", submit), web.get("/readyz", readyz)])
    return app


web.run_app(main(), port=port, access_log=None, print=lambda *_: print("ready", flush=True))
