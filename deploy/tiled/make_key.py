"""Make a key of this Tiled: ``python make_key.py URL writer|reader|metrics``, OPERATOR_PASSWORD in the environment.

The key is written to standard output, once; Tiled keeps a hash of it.
"""

import os
import sys

import httpx

READ = ["read:metadata", "read:data"]
KEYS = {  # role of the service, scopes of its key
    "writer": ("user", [*READ, "create:node", "write:metadata", "write:data", "delete:revision"]),
    "reader": ("user", READ),
    "metrics": ("admin", ["metrics"]),
}


def make_key(url: str, kind: str, password: str) -> str:
    """A key of a service of its own, with no more than the scopes that it needs."""
    role, scopes = KEYS[kind]
    with httpx.Client(base_url=f"{url.rstrip('/')}/api/v1/auth", timeout=30) as tiled:
        operator = {"grant_type": "password", "username": "operator", "password": password}
        session = tiled.post("/provider/operator/token", data=operator).raise_for_status().json()
        tiled.headers["Authorization"] = f"Bearer {session['access_token']}"
        service = tiled.post("/principal", params={"role": role}).raise_for_status().json()["uuid"]
        asked = {"scopes": scopes, "note": f"braggstream {kind}", "expires_in": None}
        return str(tiled.post(f"/principal/{service}/apikey", json=asked).raise_for_status().json()["secret"])


if __name__ == "__main__":
    sys.stdout.write(make_key(sys.argv[1], sys.argv[2], os.environ["OPERATOR_PASSWORD"]) + "\n")
