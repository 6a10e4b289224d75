"""The control run of cluster-replaced: with exclusive ownership nothing goes on before the flows have ended.

Topology and configuration: those of cluster-replaced, with exclusive ownership.

Expected: new connections fail once the second two end, which still have what the first two gave them.
"""

from lib import replaced
from lib.stage import Stage


def run(stage: Stage) -> None:
    replaced.run(stage, "Exclusive")
