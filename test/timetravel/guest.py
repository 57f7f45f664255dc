# How are the packets of a capture put into a kernel at the capture's own times? Runs inside the virtual machine, once per
# job, in a network namespace of its own. Time there moves only while everything sleeps, so a sleep of five days takes
# no time, and nothing that is done between two sleeps takes any time either (a clock that is read moves by 256 ns).
#
# Ports, sockets and the format of frames and answers are those of test/differential/kernel.py; here there is no parent
# to talk to. The job's folder (first argument) holds job.json (as there, with `after_ms`: how long to live on after the
# last frame), frames and setup.sh, and gets:
#
#   answers   what kernel.py would have kept; `before` and `after` of a frame are the jiffies around it, in ns
#   events    `conntrack -E`                       counters4, counters6   `iptables-save -c` and `ip6tables-save -c`
#   table     `conntrack -L -o extended`           clock.json             CLOCK_REALTIME minus CLOCK_MONOTONIC, ns

import ctypes
import json
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, '..', 'differential'))

import kernel  # noqa: E402

RB_POWER_OFF = 0x4321FEDC
# Jiffies begin at whole milliseconds of CLOCK_MONOTONIC (HZ=1000, tick_setup_device); a frame is sent a little later, so
# that nobody has to ask whether the tick or the frame came first.
JIFFY_NS = 1_000_000
INTO_JIFFY_NS = 200_000


def power_off():
    os.sync()
    libc = ctypes.CDLL(None, use_errno=True)
    libc.reboot(RB_POWER_OFF)
    sys.exit(os.strerror(ctypes.get_errno()))


def monotonic():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def sleep_until(moment):
    while (left := moment - monotonic()) > 0:
        time.sleep(left / 1e9)


def jiffy():
    return monotonic() // JIFFY_NS * JIFFY_NS


def listeners():
    """Number of netfilter netlink sockets in the namespace that have joined multicast groups."""
    with open('/proc/net/netlink', encoding='ascii') as file:
        rows = [line.split() for line in file][1:]
    return sum(1 for row in rows if row[1] == '12' and int(row[3], 16))


def listen(path):
    before = listeners()
    with open(path, 'wb') as output:
        process = subprocess.Popen(['conntrack', '-E'], stdout=output)
    while listeners() == before:
        if process.poll() is not None:
            sys.exit('conntrack -E does not listen')
        time.sleep(0.01)
    kernel.widen(process.pid)
    return process


def send_all(keeper, frames):
    """Sends each frame when its time has come; returns the number of the last one and when it was due, ns."""
    number, at = 0, 0
    due = jiffy() + 10 * JIFFY_NS + INTO_JIFFY_NS
    while at < len(frames):
        number, wait_ms, port, length, query_length = kernel.FRAME.unpack_from(frames, at)
        at += kernel.FRAME.size
        frame = frames[at:at + length]
        at += length
        query = frames[at:at + query_length]
        at += query_length
        due += wait_ms * 1_000_000
        if due > monotonic():
            sleep_until(due)
            # What ended during the silence belongs to no frame.
            keeper.drain(number - 1)
        before = jiffy()
        os.write(keeper.ports[port], frame)
        after = jiffy()
        keeper.keep(kernel.FRAME_SENT, number, kernel.SENT.pack(before, after))
        keeper.drain(number)
        if query_length:
            keeper.entries.send(query)
            keeper.keep(kernel.ENTRY, number, keeper.entries.recv(65536))
        keeper.drain_ports(number)
    return number, due


def save(path, *command):
    with open(path, 'wb') as output:
        subprocess.run(command, stdout=output, check=True)


def main():
    if sys.argv[1] == 'power-off':
        power_off()
    folder = sys.argv[1]

    def path(name):
        return os.path.join(folder, name)

    with open(path('job.json'), encoding='utf-8') as file:
        job = json.load(file)
    with open(path('frames'), 'rb') as file:
        frames = memoryview(file.read())
    keeper = kernel.Keeper({**job, 'answers': path('answers')})
    subprocess.run(['sh', path('setup.sh')], check=True)
    listener = listen(path('events'))
    keeper.drain(0)
    keeper.drain_ports(0)
    with open(path('clock.json'), 'w', encoding='ascii') as file:
        json.dump({'offset': str(kernel.clock_offset())}, file)
    number, due = send_all(keeper, frames)
    sleep_until(due + job['after_ms'] * 1_000_000)
    save(path('table'), 'conntrack', '-L', '-o', 'extended')
    save(path('counters4'), 'iptables-legacy-save', '-c')
    save(path('counters6'), 'ip6tables-legacy-save', '-c')
    keeper.drain(number)
    keeper.out.close()
    # The listener prints while we sleep: when we wake up, it has nothing left to do.
    time.sleep(0.1)
    listener.terminate()
    listener.wait()


main()
