"""`python -m apps.simulator --port 8100 --data .data/simulator`."""

import argparse
import asyncio
import errno
import ipaddress
import os
import signal
import sys
from pathlib import Path

from aiohttp import web

from apps.simulator.server import application
from apps.simulator.store import FolderInUse, Store
from apps.simulator.world import World

STOP_SECONDS = 1.0


def arguments() -> argparse.Namespace:
    """What was asked on the command line."""
    parser = argparse.ArgumentParser(
        prog="apps.simulator", description="Plays the outside services, on this machine only."
    )
    parser.add_argument("--port", type=int, required=True, help="0 takes a free one; the first line printed names it")
    parser.add_argument("--data", type=Path, required=True, help="folder that keeps what was done")
    parser.add_argument("--seed", type=int, default=1, help="the start number of everything random")
    parser.add_argument("--host", type=_loopback, default="127.0.0.1")
    return parser.parse_args()


def _loopback(host: str) -> str:
    try:
        if ipaddress.ip_address(host).is_loopback:
            return host
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{host} is no loopback address; the simulator answers on loopback only")


async def serve(world: World, host: str, port: int) -> None:
    """Answer until told to stop."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    runner = web.AppRunner(application(world), access_log=None, shutdown_timeout=STOP_SECONDS)
    await runner.setup()
    await web.TCPSite(runner, host, port, backlog=1024).start()
    address = runner.addresses[0]
    name = f"[{address[0]}]" if ":" in address[0] else address[0]
    sys.stdout.write(f"Simulator on http://{name}:{address[1]}\n")
    sys.stdout.flush()
    await stopped.wait()
    await runner.cleanup()


def main() -> str | None:
    """Run; what is returned is why it could not."""
    asked = arguments()
    if os.environ.get("OPS_ENV") == "production":
        return "The simulator does not start where OPS_ENV=production: it would answer in the place of real services."
    try:
        asyncio.run(serve(World(Store(asked.data), asked.seed), asked.host, asked.port))
    except FolderInUse:
        return f"Another simulator uses {asked.data}. Stop it, or name another folder with --data."
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return f"Port {asked.port} is in use. Stop what uses it, or name another one with --port."
    return None


if __name__ == "__main__":
    sys.exit(main())
