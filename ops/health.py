"""Whether the process of this container lives: exit code 0 if its /health answers 200. Standard library only."""

import http.client
import os
import sys


def main() -> int:
    port = int(os.environ.get("BITCORP_METRICS_PORT") or 0) or int(os.environ.get("BITCORP_API_PORT") or 8080)
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=4)
        connection.request("GET", "/health")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as fault:
        sys.stderr.write(f"nothing healthy on port {port}: {fault}\n")
        return 1
    return 0 if status == http.HTTPStatus.OK else 1


if __name__ == "__main__":
    sys.exit(main())
