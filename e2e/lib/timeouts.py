"""How long scenarios wait for what has to come, in seconds, each with its reason.

A wait ends as soon as what it waits for is there: these bounds say when a scenario gives up, and cost nothing while all
goes well. They leave room for a machine that does several things at once; SSA_TIMEOUT_FACTOR=3 stretches them all, and
the scenarios' own limits, where one is slower still. What a scenario claims of time, such as "within two TTLs", is a
claim and stands there, not here.
"""

import os

FACTOR = float(os.environ.get("SSA_TIMEOUT_FACTOR", "1"))

# What a program does in milliseconds once it gets a processor: it listens, counts, logs, answers, reloads, asks again
# after a TTL of one or two seconds.
SOON = 20 * FACTOR
# What waits for an interval of Envoy's: a host without connections is dropped after 5 s, an old Envoy ends 5 s after
# the new one has taken over, a resolver is asked again after its back-off.
INTERVAL = 40 * FACTOR
# Between two tries of what failed: the filter avoids a replica or an address for 30 s.
RETRIED = 60 * FACTOR
# Start of an Envoy: it compiles the module for each worker. And a snapshot of a thousand services.
STARTED = 60 * FACTOR
# One exchange over the network, dialled by a scenario: the answer comes at once, or after Envoy's connect timeout of 5
# s.
EXCHANGE = 10 * FACTOR
# An exchange that waits for something first: to be held until a snapshot comes, for a proof of work, for a timeout of
# the server's.
HELD_EXCHANGE = 40 * FACTOR
# A request to an admin interface or a health check that nothing delays.
ADMIN = 10 * FACTOR
# A program that ends after it was told to.
ENDED = 20 * FACTOR

# A step of time of 30 s, its edge and the next one.
STEP = 70 * FACTOR

# ---- in the kind cluster

# istiod tells a proxy of a changed configuration: it gathers changes for up to 10 s, and pushes to one proxy after
# another.
PUSHED = 60 * FACTOR
# The kubelet shows a changed ConfigMap or Secret in a pod, within its period of 60 s and what it needs itself.
MOUNTED = 90 * FACTOR
# Pods are scheduled, pulled, started and ready, or gone.
ROLLED_OUT = 120 * FACTOR
# Kubernetes calls a node not ready after 40 to 50 s without a word of it, and takes about as long to see it come back.
NODE_KNOWN = 120 * FACTOR
# One command of kubectl, helm or docker that waits for nothing.
COMMAND = 60 * FACTOR
# A command inside a pod.
IN_POD = 30 * FACTOR
# helm or istioctl until all that they install is there; a namespace until all in it is gone.
INSTALLED = 300 * FACTOR
# Commands that dial a thousand times, one after another.
THOUSANDS = 200 * FACTOR
# Programs that are built from source, once for each machine.
BUILT = 900 * FACTOR
