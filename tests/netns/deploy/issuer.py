# SPDX-License-Identifier: GPL-2.0-or-later
"""An issuer or a verifier for deploy_issuer_test.sh: an API with sessions, in its memory or in a Redis.

usage: issuer.py NAME PORT [REDIS-ADDRESS]

POST /sessions begins one, GET /sessions/ID asks for it, 404 where nobody knows it. Each answer is a JSON object: instance
(NAME), client (the address that the request came from), id. GET /health for checks.
"""
import secrets
import sys

import redis.asyncio
from aiohttp import web

name, port = sys.argv[1], int(sys.argv[2])


class Memory(dict):
    async def get(self, key):
        return dict.get(self, key)

    async def set(self, key, value, ex):
        self[key] = value


sessions = redis.asyncio.Redis(host=sys.argv[3]) if len(sys.argv) > 3 else Memory()


def answer(request, key, status):
    return web.json_response({"instance": name, "client": request.remote, "id": key}, status=status)


async def begin(request):
    key = secrets.token_hex(8)
    await sessions.set(key, name, ex=600)
    return answer(request, key, 201)


async def show(request):
    key = request.match_info["id"]
    return answer(request, key, 200 if await sessions.get(key) else 404)


async def health(request):
    return web.Response(text="ok")


app = web.Application()
app.add_routes([web.post("/sessions", begin), web.get("/sessions/{id}", show), web.get("/health", health)])
web.run_app(app, port=port, access_log=None, print=lambda *_: print("ready", flush=True))
