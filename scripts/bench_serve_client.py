"""One client of `scripts.bench_serve`: requests over some connections at once, with tritonclient; prints JSON.

Run: python -m scripts.bench_serve_client URL ITEMS.npz REQUESTS CONNECTIONS FLAGS.npy
"""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import gevent.pool
import numpy as np
from numpy.typing import NDArray
from tritonclient import http

DATATYPES = {"uint8": "UINT8", "bool": "BOOL", "int64": "INT64", "float32": "FP32"}


def requests_of(items: Path) -> list[list[Any]]:
    """The tensors of each item [N, …] in an .npz file as a request of one item."""
    with np.load(items) as held:
        arrays = {name: held[name] for name in held.files}
    requests = []
    for place in range(len(next(iter(arrays.values())))):
        inputs = []
        for name, array in arrays.items():
            tensor = http.InferInput(name, [1, *array.shape[1:]], DATATYPES[str(array.dtype)])
            tensor.set_data_from_numpy(array[place : place + 1])
            inputs.append(tensor)
        requests.append(inputs)
    return requests


def main() -> int:
    """Send them all; a request that fails leaves a row of -1 among the flags."""
    url, items, count, connections, flags_file = sys.argv[1:]
    requests = requests_of(Path(items))
    client = http.InferenceServerClient(url, concurrency=int(connections), network_timeout=300)
    flags: list[NDArray[np.int8] | None] = [None] * int(count)

    def send(number: int) -> None:
        result = client.infer("setpoint", requests[number % len(requests)])
        flags[number] = result.as_numpy("flags")[0].astype(np.int8)

    pool = gevent.pool.Pool(int(connections))
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    lost = 0
    for greenlet in [pool.spawn(send, number) for number in range(int(count))]:
        greenlet.join()
        lost += not greenlet.successful()
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    width = max((len(each) for each in flags if each is not None), default=0)
    np.save(flags_file, np.array([np.full(width, -1, np.int8) if each is None else each for each in flags]))
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"seconds": seconds, "cpu": cpu, "lost": lost}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
