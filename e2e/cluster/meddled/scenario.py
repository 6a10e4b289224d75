"""Somebody meddles with an agent's kernel: what was changed is set again, what is in the way is told and left alone.

Topology: a client, a router, three endpoints with agents.

Configuration: a store in a directory; the application itself serves.

Expected: a flushed ruleset, a removed rule and forwarding that is off are as before within seconds, and connections
that stay are none the worse; a route of somebody else makes the endpoint not ready, and hinders neither its service nor
its end.
"""

from lib import handover, timeouts
from lib.slices import interrupt
from lib.stage import Stage

FORWARDING = "/proc/sys/net/ipv6/conf/all/forwarding"


def run(stage: Stage) -> None:
    client = stage.net.stranger("client", "2001:db8:0:1::10")
    slices = handover.build(stage, "plain")
    before = {name: one.everything() for name, one in slices.endpoints.items()}
    for one in slices.endpoints.values():
        one.start()
    slices.settled()
    one = slices["a"]
    load = handover.Load(stage, client, slices, 50, 50)
    as_set = one.everything()
    for command in (
        "nft flush ruleset",
        "ip -6 rule del pref 17",
        "ip -6 route flush table 500",
        f"sysctl -q -w {FORWARDING.removeprefix('/proc/sys/').replace('/', '.')}=0",
    ):
        one.host.run(command)
        stage.wait(timeouts.SOON, f"everything is set again after {command}", lambda: one.everything() == as_set)
    stage.claim("whether the endpoint is ready", True, one.status()["ready"])
    one.host.run("ip -6 route add blackhole 2001:db8:7::/64 table 510 proto static")
    stage.wait(timeouts.SOON, "somebody else's route makes it not ready", lambda: not one.status()["ready"])
    load.check("though the endpoint is not ready")
    one.host.run("ip -6 route del blackhole 2001:db8:7::/64 table 510")
    stage.wait(timeouts.SOON, "it is ready again", lambda: one.status()["ready"])
    load.held.end()
    load.new.end()
    one.host.run("ip -6 route add blackhole 2001:db8:7::/64 table 510 proto static")
    slices.give({})
    stage.claim("exit status of the agent", 0, interrupt(stage, one.agent, 15))
    one.host.run("ip -6 route del blackhole 2001:db8:7::/64 table 510")
    stage.claim("what the agent leaves behind", before["a"], one.everything())
