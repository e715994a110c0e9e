# SPDX-License-Identifier: Apache-2.0
"""What the PyTorch scripts of tests/peers/run share: the last argument is `list`, or one of the settings.

Prints one line "ready VERSION [SETTING...]"; then answers each line "SECONDS" on its input with the samples per second of as
many steps as fit, and the process's peak of resident memory in bytes.
"""
import resource
import sys
import time

import torch


def rate(step, samples_a_step, seconds):
    step()
    steps, began, chunk = 0, time.perf_counter(), 1
    while True:
        for _ in range(chunk):
            step()
        steps += chunk
        spent = time.perf_counter() - began
        if spent >= seconds:
            return samples_a_step * steps / spent
        chunk = max(1, int(0.05 * steps / spent))  # the clock is looked at every 50 ms


def serve(settings, make):
    """settings: names.  make(name) gives a function that makes a step, and the samples of one."""
    threads, setting = int(sys.argv[1]), sys.argv[-1]
    torch.set_num_threads(threads)
    if setting == "list":
        print("ready", torch.__version__, *settings, flush=True)
        return
    torch.manual_seed(1)
    step, samples_a_step = make(setting)
    for _ in range(3):
        step()
    print("ready", torch.__version__, flush=True)
    for line in sys.stdin:
        print(rate(step, samples_a_step, float(line)), 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, flush=True)
