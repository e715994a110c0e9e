# SPDX-License-Identifier: Apache-2.0
"""What the PyTorch scripts of tests/peers/run share: the last argument is `list`, or one of the settings.

Prints one line "ready VERSION [SETTING...]"; then answers each line "SECONDS" on its input with the samples per second of as
many steps as fit, and the process's peak of resident memory in bytes.

With PEER_RANKS=N in the environment the process starts N - 1 others, and all N train as DistributedDataParallel over gloo, on
a share of the batch each.
"""
import os
import resource
import socket
import subprocess
import sys
import time

import torch
from torch import distributed

RANKS = int(os.environ.get("PEER_RANKS", "1"))
RANK = int(os.environ.get("RANK", "0"))
STOP = -1


def parallel(module):
    """The module as it is trained: on one rank itself."""
    if RANKS == 1:
        return module
    return torch.nn.parallel.DistributedDataParallel(module, gradient_as_bucket_view=True, static_graph=True)


def share(batch):
    """This rank's part of a batch."""
    if batch % RANKS:
        sys.exit(f"a batch of {batch} cannot be shared by {RANKS} ranks")
    return batch // RANKS


def start_ranks():
    """Ranks other than the first are copies of this process that do what it says."""
    if RANK == 0:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), WORLD_SIZE=str(RANKS), RANK="0")
        for rank in range(1, RANKS):
            subprocess.Popen([sys.executable, *sys.argv], env=dict(os.environ, RANK=str(rank)), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    distributed.init_process_group("gloo")


def agree(count):
    """What the first rank says."""
    if RANKS == 1:
        return count
    say = torch.tensor([count])
    distributed.broadcast(say, 0)
    return int(say[0])


def rate(step, samples_a_step, seconds):
    agree(1)
    step()
    steps, began, chunk = 0, time.perf_counter(), 1
    while True:
        agree(chunk)
        for _ in range(chunk):
            step()
        steps += chunk
        spent = time.perf_counter() - began
        if spent >= seconds:
            return samples_a_step * steps / spent
        chunk = max(1, int(0.05 * steps / spent))  # the clock is looked at every 50 ms


def serve(settings, make):
    """settings: names.  make(name) gives a function that makes a step, and the samples of one, of all ranks."""
    threads, setting = int(sys.argv[1]), sys.argv[-1]
    torch.set_num_threads(threads)
    if setting == "list":
        print("ready", torch.__version__, *settings, flush=True)
        return
    if RANKS > 1:
        start_ranks()
    torch.manual_seed(1)
    step, samples_a_step = make(setting)
    for _ in range(3):
        step()
    if RANK > 0:
        while (count := agree(0)) != STOP:
            for _ in range(count):
                step()
        return
    print("ready", torch.__version__, flush=True)
    for line in sys.stdin:
        print(rate(step, samples_a_step, float(line)), 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, flush=True)
    agree(STOP)
