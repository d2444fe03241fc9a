#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A gRPC server with the health service, for checks_test.sh: grpc_server.py PORT [CERT KEY].

Reads "NAME STATUS" from stdin (NAME "-": the server as a whole; STATUS: a number of HealthCheckResponse's, or "gone")
and answers each line with "ok". Messages are made by hand, so that no stubs need to be generated.
"""
import sys
from concurrent import futures

import grpc

status = {"": 1}


def check(request, context):
    # HealthCheckRequest{string service = 1}: names here are shorter than 128 bytes
    name = request[2 : 2 + request[1]].decode() if request else ""
    if name not in status:
        context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
    return bytes([8, status[name]]) if status[name] else b""


class Health(grpc.GenericRpcHandler):
    def service(self, details):
        if details.method != "/grpc.health.v1.Health/Check":
            return None
        return grpc.unary_unary_rpc_method_handler(check)


def main():
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
    server.add_generic_rpc_handlers((Health(),))
    if len(sys.argv) > 2:
        cert, key = (open(path, "rb").read() for path in sys.argv[2:4])
        server.add_secure_port("0.0.0.0:" + sys.argv[1], grpc.ssl_server_credentials([(key, cert)]))
    else:
        server.add_insecure_port("0.0.0.0:" + sys.argv[1])
    server.start()
    print("ready", flush=True)
    for line in sys.stdin:
        name, value = line.split()
        name = "" if name == "-" else name
        if value == "gone":
            status.pop(name, None)
        else:
            status[name] = int(value)
        print("ok", flush=True)
    server.stop(0)


main()
