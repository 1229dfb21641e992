# SPDX-License-Identifier: MIT
"""A device that era_map serves, and a model of what must be recorded of it.

usage: served_device.py SEED DIRECTORY

The device is served several times. Each time some users write, write zeroes and trim at once, while
checkpoints are made, and metadata snapshots taken, read and dropped, and it ends in order or is killed.
In between the origin grows or shrinks, and metadata are made anew by era_restore or era_repair. They
are often so small that they run full.

The model knows two eras of each block: `must`, in which it was last known to be written or later, and
`may`, in which it was last asked to be written or earlier. What was not acknowledged must be recorded
if it has reached the origin. After each end era_check must find nothing, and each block's era lie
between the two.
"""
import os
import random
import re
import struct
import subprocess
import sys
import threading
import time

import nbd

SECTOR = 512
METADATA_BLOCK = 4096
ERAS_PER_BLOCK = 1018
STATUS = re.compile(r"0 (\d+) era 8 (\d+)/(\d+) (\d+) (-|\d+)( \w+)?\n")


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def output(*command):
    result = run(*command)
    assert result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"
    return result.stdout


class Model:
    """Eras, of all that was done to the device."""

    def __init__(self, seed, directory):
        self.seed, self.random = seed, random.Random(seed)
        self.path = {name: f"{directory}/{name}"
                     for name in ("meta", "new", "origin", "nbd", "control", "messages", "xml")}
        self.block_sectors = self.random.choice([8, 8, 24, 128, 1000, 8192, 65536])
        self.block_bytes = self.block_sectors * SECTOR
        self.resize()
        self.nr_metadata = self.random.choice([300, 1000, self.tight(), self.tight()])
        self.set_size("meta", self.nr_metadata * METADATA_BLOCK)
        self.lock = threading.Lock()
        self.must, self.may = {}, {}
        self.era = self.newest = 0  # that has begun for sure; that may have begun
        self.pending = {}  # by user: what was asked for and not answered
        self.held, self.must_of_held, self.era_of_held = False, {}, 0

    def tight(self):
        return self.nr_blocks() // ERAS_PER_BLOCK + self.random.randrange(20, 60)

    def nr_blocks(self):
        return -(-self.size // self.block_bytes)

    def resize(self):
        nr = self.random.choice([1, 64, 65, 1018, 1019, 32577, self.random.randrange(1, 80000)])
        self.size = nr * self.block_bytes - self.random.choice([0, 0, SECTOR, self.block_bytes - SECTOR])
        self.set_size("origin", self.size)

    def set_size(self, name, size):
        with open(self.path[name], "ab"):
            os.truncate(self.path[name], size)

    def forget_what_is_cut_off(self):
        for eras in (self.must, self.may):
            for block in [block for block in eras if block >= self.nr_blocks()]:
                del eras[block]

    def note(self, begin, end, era, done):
        """Blocks that somebody asked to be written; done: in this era at least."""
        for block in range(begin, end):
            self.may[block] = max(self.may.get(block, 0), self.newest)
            if done:
                self.must[block] = max(self.must.get(block, 0), era)

    def note_pending(self):
        """The server has ended: has what nobody acknowledged reached the origin all the same?"""
        with open(self.path["origin"], "rb") as origin:
            for data, offset, begin, end, era in self.pending.values():
                self.note(begin, end, era, False)
                origin.seek(offset)
                found = origin.read(len(data))
                for block in range(begin, end) if data else ():
                    at = max(block * self.block_bytes - offset, 0)
                    # Less could be zeroes, and there already.
                    if len(found) >= at + 16 and found[at:at + 16] == data[at:at + 16]:
                        self.note(block, block + 1, era, True)
        self.pending.clear()

    def check(self, metadata="meta"):
        """What is recorded, of a device that is not served now."""
        path = self.path[metadata]
        output("era_check", path)
        dump = output("era_dump", "--logical", path)
        nr_blocks, era = map(int, re.search(r'nr_blocks="(\d+)" current_era="(\d+)"', dump).groups())
        eras = {int(b): int(e) for b, e in re.findall(r'<era block="(\d+)" era="(\d+)"', dump)}
        assert nr_blocks == self.nr_blocks(), f"{nr_blocks} blocks, not {self.nr_blocks()}"
        assert self.era <= era <= self.newest, f"era {era}, not {self.era} to {self.newest}"
        for block, must in self.must.items():
            assert eras[block] >= must, f"block {block} is of era {eras[block]}, not {must}"
        for block, found in eras.items():
            may = self.may.get(block, 0)
            assert found <= may, f"block {block} is of era {found}, but was not written since {may}"
        for since in (1, era, self.random.randint(1, era)):
            listed = self.listed(since, path)
            assert listed == {b for b in eras if eras[b] >= since}, f"era_invalidate since {since}"
        self.era = self.newest = era

    @staticmethod
    def listed(since, path, *options):
        xml = output("era_invalidate", "--written-since", str(since), *options, path)
        blocks = {int(b) for b in re.findall(r'<block block="(\d+)"', xml)}
        for begin, end in re.findall(r'<range begin="(\d+)" end="(\d+)"', xml):
            blocks.update(range(int(begin), int(end)))
        return blocks

    def check_snapshot(self):
        path = self.path["meta"]
        output("era_check", "--metadata-snapshot", path)
        since = self.random.randint(1, self.era_of_held)
        missing = {b for b, era in self.must_of_held.items() if since <= era < self.era_of_held}
        missing -= self.listed(since, path, "--metadata-snapshot")
        assert not missing, f"the snapshot lacks {sorted(missing)[:5]} since {since}"


class User(threading.Thread):
    """Writes one thing after the other."""

    def __init__(self, model, server, name):
        super().__init__()
        self.model, self.server, self.key = model, server, name
        self.random = random.Random(model.random.random())
        self.failure = None

    def run(self):
        try:
            client = nbd.NBD()
            client.connect_uri("nbd+unix:///?socket=" + self.model.path["nbd"])
            for number in range(self.random.choice([5, 50, 300])):
                if not self.do_something(client, number):
                    return
        except Exception as failure:  # pylint: disable=broad-except
            if not (self.server.ending and isinstance(failure, nbd.Error)):
                self.failure = failure

    def choose(self, number):
        """(method, data, offset, length)"""
        model, some = self.model, self.random
        method = some.choice(["pwrite", "pwrite", "pwrite", "zero", "trim"])
        offset = some.randrange(model.size)
        length = some.randrange(16, 40000) if method == "pwrite" else \
            some.randrange(1, min(model.block_bytes * some.choice([1, 3, 300]), 1 << 31))
        length = min(length, model.size - offset)
        stamp = struct.pack("<QII", model.seed, self.server.number << 8 | self.key, number)
        data = (stamp * (length // 16 + 1))[:length] if method == "pwrite" else b""
        return method, data, offset, length

    def do_something(self, client, number):
        model = self.model
        method, data, offset, length = self.choose(number)
        begin = offset // model.block_bytes
        end = (offset + length - 1) // model.block_bytes + 1
        flags = nbd.CMD_FLAG_FUA if self.random.random() < .1 else 0
        with model.lock:
            era = model.era
            model.pending[self.key] = (data, offset, begin, end, era)
        try:
            getattr(client, method)(data or length, offset, flags)
            done = True
        except nbd.Error as error:
            done = False
            if error.errno != "ENOSPC":
                assert self.server.ending, f"{method} {length} at {offset}: {error}"
                return False
        with model.lock:
            model.note(begin, end, era, done)
            del model.pending[self.key]
        return True


class Server:
    """The device, served once."""

    def __init__(self, model, number):
        self.model, self.number, self.ending = model, number, False
        self.process = None

    def start(self):
        """False: there is no room for another era."""
        model = self.model
        environment = dict(os.environ)
        if "ERA_PRELOAD" in environment:
            environment["LD_PRELOAD"] = environment["ERA_PRELOAD"]
        with open(model.path["messages"], "w", encoding="utf-8") as messages:
            self.process = subprocess.Popen(
                ["era_map", "serve", model.path["meta"], model.path["origin"],
                 str(model.block_sectors), "--socket", model.path["nbd"],
                 "--control", model.path["control"]], stderr=messages, env=environment)
        for _ in range(1000):
            if self.process.poll() is not None:
                assert "not enough space" in self.messages(), self.messages()
                return False
            # The other socket is there once this one answers.
            if run("era_map", "status", model.path["control"]).returncode == 0:
                return True
            time.sleep(.02)
        raise AssertionError("does not begin to serve: " + self.messages())

    def messages(self):
        with open(self.model.path["messages"], encoding="utf-8") as messages:
            return messages.read()

    def stop(self, kill):
        self.ending = True
        if kill:
            self.process.kill()
        else:
            self.process.terminate()
        status = self.process.wait(60)
        assert kill or status == 0, f"ended with {status}: {self.messages()}"

    def expect_status(self):
        model = self.model
        text = output("era_map", "status", model.path["control"])
        match = STATUS.fullmatch(text)
        assert match, text
        sectors, _, total, era = map(int, match.groups()[:4])
        assert sectors == model.size // SECTOR and total == model.nr_metadata, text
        assert model.era <= era <= model.newest, f"{text}, not {model.era} to {model.newest}"
        assert (match[5] != "-") == model.held, f"{text}, held: {model.held}"
        assert match[6] in (None, " no_space"), text
        model.era = model.newest = era

    def message(self, text, expected=()):
        """True: done; False: there was no room, or one of what was expected was wrong."""
        result = run("era_map", "message", self.model.path["control"], text)
        if result.returncode == 0:
            return True
        for reason in (*expected, "not enough space"):
            if reason in result.stderr:
                return False
        raise AssertionError(result.stderr)

    def begin_era(self, text):
        model = self.model
        with model.lock:
            model.newest += 1
            must = dict(model.must)
        done = self.message(text, ["held already"] if model.held else [])
        with model.lock:
            if done:
                model.era += 1
            else:
                model.newest -= 1
        if done and text == "take_metadata_snap":
            assert not model.held
            model.held, model.must_of_held, model.era_of_held = True, must, model.era

    def drop(self):
        expected = [] if self.model.held else ["no metadata snapshot"]
        if self.message("drop_metadata_snap", expected):
            assert self.model.held
            self.model.held = False

    def use(self, seconds):
        """Messages, while the users write."""
        end = time.time() + seconds
        while time.time() < end:
            what = self.model.random.random()
            if what < .5:
                self.begin_era("checkpoint")
            elif what < .65:
                self.begin_era("take_metadata_snap")
            elif what < .75:
                self.drop()
            elif self.model.held:
                self.model.check_snapshot()


def make_anew(model):
    """By a command, from what is there; a held snapshot does not come along."""
    model.set_size("new", 0)
    more = model.random.choice([0, 5, 30])
    model.set_size("new", (model.nr_metadata + more) * METADATA_BLOCK)
    if model.random.random() < .5:
        output("era_dump", "-o", model.path["xml"], model.path["meta"])
        done = run("era_restore", "-q", "-i", model.path["xml"], "-o", model.path["new"])
    else:
        done = run("era_repair", "-q", "-i", model.path["meta"], "-o", model.path["new"])
    if done.returncode:
        return
    os.replace(model.path["new"], model.path["meta"])
    model.nr_metadata += more
    model.held = False
    model.check()


def serve_once(model, number):
    server = Server(model, number)
    size = model.size
    if number and model.random.random() < .3:
        model.resize()
    model.newest += 1
    if not server.start():
        model.newest -= 1
        if number:
            model.size = size
            model.set_size("origin", size)
            model.check()
            make_anew(model)
        return number > 0
    model.forget_what_is_cut_off()
    model.era = model.newest
    server.expect_status()
    users = [User(model, server, name) for name in range(model.random.choice([1, 3, 6]))]
    for user in users:
        user.start()
    # See serving.sh for why a sanitizer's nbdkit is not waited for.
    kill = model.random.random() < .6 or "ERA_PRELOAD" in os.environ
    try:
        server.use(model.random.choice([0, .2, .6]))
        if model.random.random() < .5:
            for user in users:
                user.join(300)
            server.expect_status()
    finally:
        server.stop(kill)
        for user in users:
            user.join(300)
    for user in users:
        assert not user.is_alive() and not user.failure, repr(user.failure)
    model.note_pending()
    model.check()
    if model.random.random() < .2:
        make_anew(model)
    return True


def main():
    seed, directory = int(sys.argv[1]), sys.argv[2]
    for name in os.listdir(directory):
        os.unlink(f"{directory}/{name}")
    model = Model(seed, directory)
    try:
        for number in range(6):
            if not serve_once(model, number):
                break
    except AssertionError as error:
        print(f"seed {seed}, blocks of {model.block_sectors} sectors, "
              f"{model.nr_metadata} metadata blocks: {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
