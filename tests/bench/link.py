# A link of given delay and loss between this network namespace and another process's, in user space: kernels need no netem.
# link.py PID HERE THERE DELAY_MS LOSS [SEED]: addresses with their prefix lengths; the delay is each way. Prints "up".
# It carries IP packets over two TUN devices and ends with its standard input.

import ctypes
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
MTU = 1400
LONGEST = 2048

pid, here, there, delay, loss = sys.argv[1:6]
delay, loss = float(delay) / 1000, float(loss)
chance = random.Random(int(sys.argv[6]) if len(sys.argv) > 6 else 1)
libc = ctypes.CDLL(None, use_errno=True)


def enter(namespace):
    if libc.setns(namespace, 0) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def device(address):
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH14x", b"hop0", IFF_TUN | IFF_NO_PI))
    for command in (["addr", "add", address, "dev", "hop0"], ["link", "set", "hop0", "mtu", str(MTU), "up"]):
        subprocess.check_call(["ip", *command])
    return tun


own = os.open("/proc/self/ns/net", os.O_RDONLY)
ends = [device(here)]
enter(os.open(f"/proc/{pid}/ns/net", os.O_RDONLY))
ends.append(device(there))
subprocess.check_call(["ip", "route", "add", "default", "via", here.split("/")[0], "dev", "hop0"])
enter(own)
other = {ends[0]: ends[1], ends[1]: ends[0]}
on_its_way = []
count = 0
print("up", flush=True)
while True:
    wait = max(0, on_its_way[0][0] - time.monotonic()) if on_its_way else None
    ready, _, _ = select.select([*ends, sys.stdin], [], [], wait)
    if sys.stdin in ready and not sys.stdin.read(1):
        break
    for end in ready:
        while end in other:
            try:
                packet = os.read(end, LONGEST)
            except BlockingIOError:
                break
            if chance.random() < loss:
                continue
            count += 1
            heapq.heappush(on_its_way, (time.monotonic() + delay, count, other[end], packet))
    while on_its_way and on_its_way[0][0] <= time.monotonic():
        _, _, to, packet = heapq.heappop(on_its_way)
        try:
            os.write(to, packet)
        except BlockingIOError:
            pass  # its queue is full: lost, as anywhere
