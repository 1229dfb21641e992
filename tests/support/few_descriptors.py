# SPDX-License-Identifier: MIT
"""A server that runs out of file descriptors, because of its clients.

usage: few_descriptors.py SERVER DIRECTORY all|turned-away|waits|ends

SERVER is its process; its sockets in DIRECTORY are nbd and control.
"""
import os
import socket
import sys
import time

import nbd

server, directory, what = sys.argv[1:]


def connect(name):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(20)
    client.connect(f"{directory}/{name}")
    return client


def crowd_in(nr=60):
    """One after the other: of many at once nbdkit itself loses some."""
    crowd = []
    for _ in range(nr):
        client = connect("nbd")
        crowd.append((client, bool(client.recv(100))))
    return crowd


def leave(crowd):
    for client, _ in crowd:
        client.close()


def ask():
    client = connect("control")
    client.sendall(b"status\n")
    return client


def is_answered(client):
    return client.recv(100).startswith(b"ok 0 ")


def state():
    with open(f"/proc/{server}/stat", encoding="ascii") as stat:
        return stat.read().rsplit(")", 1)[1].split()


def expect_rest():
    """It has nothing to do, and does nothing."""
    time.sleep(.3)
    before = sum(map(int, state()[11:13]))
    time.sleep(1)
    ticks = sum(map(int, state()[11:13])) - before
    assert ticks < .2 * os.sysconf("SC_CLK_TCK"), f"{ticks} ticks of work"


def read_something():
    client = nbd.NBD()
    client.connect_uri(f"nbd+unix:///?socket={directory}/nbd")
    client.pread(1, 0)
    client.shutdown()


def all_served():
    """There are more descriptors than it was to begin with."""
    assert all(served for _, served in crowd_in())


def turned_away():
    """Too many clients: messages are heard all the same, and later clients as soon as these have gone."""
    crowd = crowd_in()
    assert crowd[0][1] and not crowd[-1][1]
    expect_rest()
    assert is_answered(ask())
    leave(crowd)
    for _ in range(100):
        try:
            return read_something()
        except nbd.Error:
            time.sleep(.1)
    raise AssertionError("nobody is served any more")


def waits():
    """Too many of those who have a message: the last one waits until others have gone."""
    crowd = crowd_in()
    clients = [ask() for _ in range(16)]
    expect_rest()
    assert is_answered(clients[0])
    clients[-1].settimeout(.1)
    try:
        assert not clients[-1].recv(100), "answered: there were descriptors enough"
        raise AssertionError("turned away")
    except socket.timeout:
        pass
    leave(crowd)
    clients[-1].settimeout(20)
    assert is_answered(clients[-1])


def ends():
    """In the midst of them."""
    crowd, clients = crowd_in(), [ask() for _ in range(16)]
    assert is_answered(clients[0]) and crowd[0][1]
    os.kill(int(server), 15)
    for _ in range(200):
        try:
            if state()[0] == "Z":
                return None
        except FileNotFoundError:
            return None
        time.sleep(.1)
    raise AssertionError("it does not end")


{"all": all_served, "turned-away": turned_away, "waits": waits, "ends": ends}[what]()
