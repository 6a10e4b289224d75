"""nginx as the application of endpoints, with the configuration beside the example."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lib.files import Files
    from lib.net import Host
    from lib.stage import Program, Stage

    from .datacenter import Endpoint


def server(files: Files, **values: object) -> Starter:
    """Returns what starts nginx at an endpoint; `values` replace placeholders of its configuration."""
    return Starter(files, values)


class Starter:
    """Starts nginx with the example's nginx.conf."""

    def __init__(self, files: Files, values: dict[str, object]) -> None:
        self.files, self.values = files, values

    def __call__(self, stage: Stage, endpoint: Endpoint) -> Program:
        """Starts it at an endpoint."""
        return self.on(stage, endpoint.host, endpoint.folder, "nginx.conf")

    def on(self, stage: Stage, host: Host, folder: object, file: str, **more: object) -> Program:
        """Starts it on a host, with this configuration."""
        text = self.files.text(file, folder=folder, **self.values, **more)
        configuration = stage.work / f"{host.name}-{file}"
        configuration.write_text(text)
        command = [stage.tools["nginx"], "-p", folder, "-c", configuration, "-e", f"{folder}/error.log"]
        return stage.start(host, f"{host.name}-nginx", command)
