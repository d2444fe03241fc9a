# SPDX-License-Identifier: GPL-2.0-or-later
"""A participant or a sequencer for deploy_ledger_test.sh: a gRPC server whose answers are its name.

usage: ledger_grpc.py NAME PORT

  /ledger.Participant/Submit      a request, an answer
  /ledger.Sequencer/Subscribe     a stream of requests, each with an answer
  /grpc.health.v1.Health/Check    SERVING; after SIGUSR1 NOT_SERVING, after SIGUSR2 SERVING again
Messages are plain bytes, so that no stubs need to be generated; those of the health service are written by hand.
"""
import asyncio
import signal
import sys

import grpc

name = sys.argv[1].encode()
serving = True


async def check(request, context):
    return bytes([8, 1 if serving else 2])  # HealthCheckResponse.status


async def submit(request, context):
    return name


async def subscribe(requests, context):
    async for _ in requests:
        yield name


HANDLERS = {
    "/grpc.health.v1.Health/Check": grpc.unary_unary_rpc_method_handler(check),
    "/ledger.Participant/Submit": grpc.unary_unary_rpc_method_handler(submit),
    "/ledger.Sequencer/Subscribe": grpc.stream_stream_rpc_method_handler(subscribe),
}


class Handler(grpc.GenericRpcHandler):
    def service(self, details):
        return HANDLERS.get(details.method)


def set_serving(value):
    global serving
    serving = value


async def main():
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, set_serving, False)
    loop.add_signal_handler(signal.SIGUSR2, set_serving, True)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Handler(),))
    server.add_insecure_port("0.0.0.0:" + sys.argv[2])
    await server.start()
    print("ready", flush=True)
    await server.wait_for_termination()


asyncio.run(main())
