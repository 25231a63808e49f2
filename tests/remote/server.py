"""A real S3 server on loopback (moto) behind a proxy, and the environment by which a user would name it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from remote.proxy import Proxy

BUCKET = "bucket"


@contextmanager
def s3_server() -> Iterator[tuple[Proxy, dict[str, str]]]:
    """Start both; return the proxy, and credentials and endpoint as variables of the environment."""
    from moto.server import ThreadedMotoServer  # who asks for the server's name only need not have it

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request, which pytest would keep
    with Proxy(server.get_host_and_port()[1]) as proxy:
        yield (
            proxy,
            {
                "AWS_ACCESS_KEY_ID": "someone",
                "AWS_SECRET_ACCESS_KEY": "secret",
                "AWS_ENDPOINT_URL": proxy.url,
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_MAX_ATTEMPTS": "1",  # botocore's own waits are long; s3fs tries again as well
            },
        )
    server.stop()


def puts_of_shards(proxy: Proxy) -> Counter[str]:
    """Count how often each shard file was sent, by its URL; of a file in several parts, the part most often sent."""
    counted: Counter[str] = Counter()
    parts = Counter(path for method, path, _ in proxy.traffic.requests if method == "PUT" and "/c/" in path)
    for path, count in parts.items():
        url = f"s3:/{path.partition('?')[0]}"
        counted[url] = max(counted[url], count)
    return counted
