#!/usr/bin/env python3
"""Checks many names against several lists at the same time, with httpx.

    screen.py NAME...
"""

import asyncio
import sys

import httpx

from kyc_auth import AgentError
from kyc_auth.httpx import KycAuth


def body(name):
    return {"subject": {"full_name": name}, "lists": ["ofac", "un", "eu"]}


async def main(*names):
    auth = KycAuth()
    async with httpx.AsyncClient(auth=auth, base_url=auth.api_url, timeout=30) as client:
        for name, response in zip(names, await asyncio.gather(*(client.post("/kyc", json=body(n)) for n in names))):
            response.raise_for_status()
            print("%s: %s" % (name, response.json()["data"]["summary"]["overall_risk_level"]))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    try:
        asyncio.run(main(*sys.argv[1:]))
    except (AgentError, httpx.HTTPError) as e:
        sys.exit("screen: %s" % e)
