# SPDX-License-Identifier: Apache-2.0
"""Timing loop of the PyTorch scripts of tests/peers/run.  The last argument is `list` or one of the settings.

Prints the line "ready VERSION [SETTING...]".  For each line "SECONDS" of its input it then runs training steps for that time, and
prints the samples per second and the peak resident memory of the process in bytes.

With PEER_RANKS=N in the environment the process starts N - 1 others.  All N train with DistributedDataParallel over gloo, each on
its part of the batch.
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
    """Wraps the module in DistributedDataParallel, unless there is one rank."""
    if RANKS == 1:
        return module
    return torch.nn.parallel.DistributedDataParallel(module, gradient_as_bucket_view=True, static_graph=True)


def share(batch):
    """Returns the number of samples of this rank."""
    if batch % RANKS:
        sys.exit(f"batch {batch}: expected a multiple of {RANKS} ranks")
    return batch // RANKS


def start_ranks():
    """Starts the other ranks: copies of this process that run as many steps as rank 0 broadcasts."""
    if RANK == 0:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), WORLD_SIZE=str(RANKS), RANK="0")
        for rank in range(1, RANKS):
            subprocess.Popen([sys.executable, *sys.argv], env=dict(os.environ, RANK=str(rank)), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    distributed.init_process_group("gloo")


def broadcast(count):
    """Returns the count of rank 0."""
    if RANKS == 1:
        return count
    value = torch.tensor([count])
    distributed.broadcast(value, 0)
    return int(value[0])


def measure(step, samples_a_step, seconds):
    broadcast(1)
    step()
    steps, began, chunk = 0, time.perf_counter(), 1
    while True:
        broadcast(chunk)
        for _ in range(chunk):
            step()
        steps += chunk
        spent = time.perf_counter() - began
        if spent >= seconds:
            return samples_a_step * steps / spent
        chunk = max(1, int(0.05 * steps / spent))  # reads the clock every 50 ms


def serve(settings, make):
    """Serves one setting.  make(name) returns a function that runs a step, and the samples of a step on all ranks."""
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
        while (count := broadcast(0)) != STOP:
            for _ in range(count):
                step()
        return
    print("ready", torch.__version__, flush=True)
    for line in sys.stdin:
        print(measure(step, samples_a_step, float(line)), 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, flush=True)
    broadcast(STOP)
