"""A client dials the service's name, and arrives where its rule leads, in HTTP and TCP."""

from lib.cluster import Service

CLUSTER = True
LIMIT = 240
STORE = Service(1, "traffic", "v=ssa1; addr=hash(src/128):20 rand:44")


def run(stage):
    stage.publish(STORE)
    stage.release(STORE.values())
    server, client = stage.start(stage.workload("server", "server"), stage.workload("client", "client"))
    stage.slices(STORE, "app=server")
    stage.wait_filter((server, "inbound"), (client, "outbound"))
    stage.claim("HTTP", "served", client.http(STORE.name).kind)
    line = server.logged(source=client.address)[0]
    stage.claim("its destination conforms", ("conforming", None), stage.ssa.verify(STORE.published, client.address, line["destination"]))
    stage.claim("TCP", "served 'server-0 got ping'", repr(client.tcp(STORE.name)))
    stage.claim("composed", 2, client.outbound(outcome="composed"))
    stage.claim("conforming", 2, server.inbound(verdict="conforming", outcome="allowed"))
