"""The endpoints of cluster-scale with etcd as the store, as on hosts without Kubernetes.

Topology: that of cluster-scale, and a host with etcd.

Configuration: programs have the capabilities that the units of cluster/bare-metal leave them.

Expected: as there.
"""

from lib import etcd, scaling
from lib.stage import Stage


def run(stage: Stage) -> None:
    scaling.run(stage, etcd.start(stage))
