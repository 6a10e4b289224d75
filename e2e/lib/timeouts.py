"""The timeouts of scenarios, in seconds, each with its reason.

A wait ends as soon as its condition is true; a timeout only decides when a scenario gives up, and costs nothing while
all goes well. Timeouts leave room for a loaded machine; on a slower one SSA_TIMEOUT_FACTOR=3 multiplies them all, and
the scenarios' own limits. A bound that a scenario claims, such as "within two TTLs", is part of that scenario and not
here.
"""

import os

FACTOR = float(os.environ.get("SSA_TIMEOUT_FACTOR", "1"))

# What takes milliseconds once a program is scheduled: it listens, counts, logs, answers, reloads, or queries again
# after a TTL of one or two seconds.
SOON = 20 * FACTOR
# What depends on an interval of Envoy: a host without connections is removed after 5 s, an old Envoy exits 5 s after
# the new one took over, a failed resolver is asked again after its back-off.
INTERVAL = 40 * FACTOR
# The next attempt after a failure: the filter avoids a replica or an address for 30 s.
RETRIED = 60 * FACTOR
# The start of an Envoy, which compiles the module for each worker; a snapshot of a thousand services.
STARTED = 60 * FACTOR
# One exchange over the network: the answer comes at once, or after Envoy's connect timeout of 5 s.
EXCHANGE = 10 * FACTOR
# An exchange that waits first: for a snapshot, a proof of work, or a timeout of the server.
HELD_EXCHANGE = 40 * FACTOR
# An exchange that is repeated while some of its kind are expected to be lost.
LOSSY_EXCHANGE = 3 * FACTOR
# Dozens or hundreds of exchanges of one client, one after another.
MANY_EXCHANGES = 60 * FACTOR
# A client that asks until it is stopped.
LASTING = 300 * FACTOR
# One query of dig or of another stub resolver: the shim asks its servers for up to two seconds each.
QUERY = 6 * FACTOR
# One query to a name server that is polled until it answers.
POLLED_QUERY = 0.5 * FACTOR
# A request to an admin interface or a health check.
ADMIN = 10 * FACTOR
# The same, of something that may be killed or restarted meanwhile.
ADMIN_OF_KILLED = 5 * FACTOR
# The exit of a program after it was told to.
ENDED = 20 * FACTOR
# A time step of 30 s, its edge and the next step.
STEP = 70 * FACTOR

# ---- in the kind cluster

# istiod pushes a changed configuration: it batches changes for up to 10 s, and pushes to one proxy after another.
PUSHED = 60 * FACTOR
# The kubelet updates a mounted ConfigMap or Secret: within its sync period of 60 s, plus its own delay.
MOUNTED = 90 * FACTOR
# Pods are scheduled, pulled, started and ready, or deleted.
ROLLED_OUT = 120 * FACTOR
# Kubernetes marks a node not ready after 40 to 50 s of silence, and needs about as long to see it return.
NODE_KNOWN = 120 * FACTOR
# One command of kubectl, helm or docker that waits for nothing.
COMMAND = 60 * FACTOR
# A command inside a pod.
IN_POD = 30 * FACTOR
# What it takes to start a command in a pod and to get its answer, beyond the command's own timeout.
EXEC = 20 * FACTOR
# helm or istioctl until everything is installed; a namespace until everything in it is deleted.
INSTALLED = 300 * FACTOR
# A command that dials thousands of times, one after another.
THOUSANDS = 200 * FACTOR
# Programs built from source, once per machine.
BUILT = 900 * FACTOR
