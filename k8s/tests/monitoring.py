"""Alerts, dashboard and relabelling."""

import json
import re
from pathlib import Path
from typing import Any

from checks import ROOT, Checks, Skipped, must, relabel

# Ours are labels of filters' metrics; these come from the scrape.
SCRAPED = {"namespace", "pod"}
# Of kube-state-metrics.
KUBERNETES = {
    "kube_pod_annotations": {
        f"annotation_traffic_sidecar_istio_io_{way}_inbound_ports" for way in ("exclude", "include")
    },
    "kube_pod_labels": {"label_ssa_inbound", "label_ssa_outbound"},
    "kube_pod_init_container_info": {"container"},
    "kube_pod_status_phase": {"phase"},
}


class Monitoring(Checks):
    """Alerts, dashboard and relabelling."""

    def _metrics(self) -> Any:
        """Returns the metrics that the documents of filter and shim tell of, with their labels."""
        known = {}
        for file in ("filter.md", "resolver.md", "cluster.md", "agent.md"):
            for line in (ROOT / "docs" / file).read_text().splitlines():
                cells = [cell.strip() for cell in line.split("|")[1:-1]]
                if len(cells) < 3 or "`ssa_" not in cells[0]:
                    continue
                names = re.findall(r"`(ssa_\w+)`", cells[0])
                # As in `…_min_seconds`, `…_max_seconds`, `ssa_outbound_…`.
                for ending in re.findall(r"`…(\w+)`", cells[0]):
                    names += [re.sub(r"_min_seconds$", ending, name) for name in names]
                if "`ssa_outbound_…`" in cells[0]:
                    names += [name.replace("ssa_inbound_", "ssa_outbound_") for name in names]
                for name in names:
                    known[name] = set(re.findall(r"`(\w+)`(?= |,|:|$)", cells[1]))
        assert len(known) > 20, known
        return known

    def _used(self) -> Any:
        """Returns each expression of dashboard and alerts, with where it is."""
        rules = self.all["PrometheusRule", "ssa"]["spec"]["groups"][0]["rules"]
        dashboard = json.loads(self.all["ConfigMap", "ssa-dashboard"]["data"]["ssa.json"])
        yield from ((rule["alert"], rule["expr"]) for rule in rules)
        for panel in dashboard["panels"]:
            yield from ((panel["title"], target["expr"]) for target in panel["targets"])
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                yield variable["name"], variable["query"]

    def dashboard_and_alerts_name_metrics_and_labels_that_exist(self) -> None:
        known = self._metrics() | KUBERNETES
        used = set()
        for place, text in self._used():
            bare = re.sub(r'"[^"]*"', '""', text)
            names = set(re.findall(r"\b(?:ssa_(?:inbound|outbound|resolver|cluster)|kube)_\w+", bare))
            # A histogram's series.
            names = {re.sub(r"_seconds_(?:bucket|sum|count)$", "_seconds", name) for name in names}
            assert names, f"{place} names no metric"
            assert names <= set(known), f"{place}: {names - set(known)}"
            used |= names
            metric = r"\b((?:ssa_(?:inbound|outbound|resolver|cluster)|kube)_\w+)"
            for name, matchers in re.findall(metric + r"\{([^}]*)\}", bare):
                labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
                name = re.sub(r"_seconds_(?:bucket|sum|count)$", "_seconds", name)
                assert labels <= known[name] | SCRAPED, f"{place}: {name} has no {labels - known[name]}"
            for listed in re.findall(r"by \(([^)]*)\)", bare):
                labels = {label.strip() for label in listed.split(",")}
                possible = set.union(*(known[name] for name in names)) | SCRAPED | {"le"}
                assert labels <= possible, f"{place}: {labels - possible}"
            assert text.count("(") == text.count(")") and text.count("{") == text.count("}"), place
        for name in ("ssa_inbound_connections_total", "ssa_outbound_connections_total", "ssa_resolver_service_state"):
            assert name in used, name

    def label_values_in_dashboard_and_alerts_exist(self) -> None:
        words = set(
            re.findall(r"`(\w+)`", (ROOT / "docs/filter.md").read_text() + (ROOT / "docs/resolver.md").read_text())
        )
        for place, text in self._used():
            for label, value in re.findall(r'(ssa_verdict|ssa_outcome|ssa_part|state|outcome)\s*[=!]~?"([^"]*)"', text):
                for one in value.split("|"):
                    assert one in words, f"{place}: {label} is never {one}"

    def metrics_in_the_code_are_documented(self) -> None:
        known = self._metrics()
        rooms = ("filter/src", "resolver-shim/src", "cluster/src")
        sources = [source for room in rooms for source in (ROOT / room).rglob("*.rs")]
        text = "\n".join(source.read_text() for source in sources)
        for name in known:
            ending = re.sub(r"^ssa_(inbound|outbound|resolver)_", "", name)
            assert ending in text, f"{name} is in no source"

    def relabelling_restores_the_labels_that_envoy_flattens(self) -> None:
        envoy, shim, *agents = self.all["PodMonitor", "ssa"]["spec"]["podMetricsEndpoints"]
        assert (envoy["port"], envoy["path"]) == ("http-envoy-prom", "/stats/prometheus")
        assert (shim["port"], shim["path"]) == ("ssa-metrics", "/metrics")
        assert agents in ([], [{"port": "ssa-agent", "path": "/metrics"}])
        for flat, wanted in {
            # As an Envoy without stats_tags prints them.
            "ssa_inbound_connections_total_service___verdict_no_match_outcome_denied": {
                "__name__": "ssa_inbound_connections_total",
                "ssa_service": "_",
                "ssa_verdict": "no_match",
                "ssa_outcome": "denied",
            },
            "ssa_inbound_connections_total_service_web_demo_test_verdict_other_port_outcome_shadow_denied": {
                "__name__": "ssa_inbound_connections_total",
                "ssa_service": "web_demo_test",
                "ssa_verdict": "other_port",
                "ssa_outcome": "shadow_denied",
            },
            "ssa_inbound_violations_total_service_a_b_part_field_0": {
                "__name__": "ssa_inbound_violations_total",
                "ssa_service": "a_b",
                "ssa_part": "field_0",
            },
            "ssa_outbound_connections_total_service_a_b_outcome_no_snapshot": {
                "__name__": "ssa_outbound_connections_total",
                "ssa_service": "a_b",
                "ssa_outcome": "no_snapshot",
            },
            "ssa_outbound_connect_failures_total_service_a_b": {
                "__name__": "ssa_outbound_connect_failures_total",
                "ssa_service": "a_b",
            },
            "ssa_outbound_source_mismatches_total_service_a_b": {
                "__name__": "ssa_outbound_source_mismatches_total",
                "ssa_service": "a_b",
            },
            "ssa_inbound_snapshots_total_outcome_installed": {
                "__name__": "ssa_inbound_snapshots_total",
                "ssa_outcome": "installed",
            },
            "ssa_inbound_snapshot_age_max_seconds": {"__name__": "ssa_inbound_snapshot_age_max_seconds"},
            "ssa_outbound_held_connections": {"__name__": "ssa_outbound_held_connections"},
            "envoy_cluster_upstream_cx_total": None,
        }.items():
            assert relabel(envoy["metricRelabelings"], {"__name__": flat}) == wanted, flat
        # As a sidecar of Istio prints it.
        shadowed = {
            "__name__": "ssa_inbound_connections_total_service_store_example_verdict_outside_outcome",
            "authz_dry_run_result": "denied",
        }
        assert relabel(envoy["metricRelabelings"], shadowed) == {
            "__name__": "ssa_inbound_connections_total",
            "ssa_service": "store_example",
            "ssa_verdict": "outside",
            "ssa_outcome": "shadow_denied",
        }

    def alerts_fire_when_they_should(self) -> None:
        if not self.options.promtool:
            raise Skipped("there is no promtool: hack/promtool.sh says why")
        folder = self.folder / "alerts"
        folder.mkdir()
        (folder / "rules.json").write_text(json.dumps(self.all["PrometheusRule", "ssa"]["spec"]))

        def pod(name: str, *more: Any, **labels: str) -> list[str]:
            """A pod that runs, with these labels, and more series."""
            its = f'namespace="shop", pod="{name}"'
            told = ", ".join(f'label_ssa_{role}="{value}"' for role, value in labels.items())
            phase = f'kube_pod_status_phase{{{its}, phase="Running"}}'
            return [f"kube_pod_labels{{{its}, {told}}}", phase, *(f"{one}{{{its}}}" for one in more)]

        age = {role: f"ssa_{role}_snapshot_age_max_seconds" for role in ("inbound", "outbound")}
        annotation = "annotation_traffic_sidecar_istio_io_exclude_inbound_ports"
        excluded = f'kube_pod_annotations{{namespace="shop", pod="%s", {annotation}="%s"}}'
        series = [
            *pod("server", age["inbound"], "ssa_resolver_off", inbound="enabled"),
            *pod("client", age["outbound"], "ssa_resolver_off", outbound="enabled"),
            *pod("typing-error", "ssa_resolver_off", inbound="enable"),
            *pod("blind", "ssa_resolver_off", outbound="enabled"),
            *pod("ended", inbound="enabled")[:1],
            'ssa_resolver_off{namespace="shop", pod="no-label"}',
            excluded % ("server", "9467, 9000"),
            excluded % ("client", "9000"),
        ]
        wanted = {
            "SsaServerWithoutFilter": {"typing-error"},
            "SsaClientWithoutFilter": {"blind"},
            "SsaShimWithoutFilter": {"typing-error", "blind", "no-label"},
            "SsaPortPastFilter": {"server"},
            "SsaLabelsUnknown": set(),
        }
        self._play(folder, series, wanted)
        # Another service's port is no fault, and labels that nobody tells are found out.
        series = ['ssa_inbound_snapshot_age_max_seconds{namespace="shop", pod="server"}', excluded % ("server", "9467")]
        self._play(
            folder, series, {"SsaLabelsUnknown": {None}, "SsaPortPastFilter": set(), "SsaServerWithoutFilter": set()}
        )

    def alerts_of_slices_fire_when_they_should(self) -> None:
        if not self.options.promtool:
            raise Skipped("there is no promtool: hack/promtool.sh says why")
        folder = self.folder / "slice-alerts"
        folder.mkdir()
        spec = self.all["PrometheusRule", "ssa"]["spec"]
        (folder / "rules.json").write_text(json.dumps(spec))
        rules = {rule["alert"]: rule for rule in spec["groups"][0]["rules"]}
        of_set = '{namespace="shop", slice_set="%s"}'
        # In one set all is well; in the other, each of these is wrong.
        values = {
            "ssa_cluster_slices_without_owner": (0, 3),
            "ssa_cluster_slices_without_standby": (0, 3),
            "ssa_cluster_moves_stuck": (0, 1),
            "ssa_cluster_nodes_behind": (0, 2),
            "ssa_cluster_imbalance_permille": (1099, 1300),
            "ssa_cluster_tolerance_permille": (1100, 1100),
            "ssa_cluster_endpoints_refusing": (0, 1),
        }
        series = [
            {"series": name + of_set % called, "values": f"{value}x60"}
            for name, both in values.items()
            for called, value in zip(("good", "bad"), both, strict=True)
        ]
        # One of two controllers leads here, and none there.
        series += [
            {"series": f'ssa_cluster_leader{{namespace="{where}", pod="{pod}"}}', "values": f"{leads}x60"}
            for where, pod, leads in (("shop", "a", 0), ("shop", "b", 1), ("bar", "a", 0), ("bar", "b", 0))
        ]

        def fired(alert: str, labels: dict[str, str]) -> Any:
            texts = dict(rules[alert]["annotations"])
            for label, value in labels.items():
                texts = {key: text.replace(f"{{{{ $labels.{label} }}}}", value) for key, text in texts.items()}
            return {"exp_labels": {**rules[alert]["labels"], **labels}, "exp_annotations": texts}

        bad = {"namespace": "shop", "slice_set": "bad"}
        wanted = {
            "SsaSliceWithoutOwner": bad,
            "SsaStandbyMissing": bad,
            "SsaMoveStuck": bad,
            "SsaFibBehind": bad,
            "SsaShareAboveTolerance": bad,
            "SsaEndpointRefuses": bad,
            "SsaNoLeader": {"namespace": "bar"},
        }
        test = {
            "rule_files": ["rules.json"],
            "evaluation_interval": "1m",
            "tests": [
                {
                    "interval": "1m",
                    "input_series": series,
                    "alert_rule_test": [
                        {"eval_time": "40m", "alertname": alert, "exp_alerts": [fired(alert, labels)]}
                        for alert, labels in wanted.items()
                    ],
                }
            ],
        }
        (folder / "test.json").write_text(json.dumps(test))
        must(self.options.promtool, "test", "rules", folder / "test.json")

    def _play(self, folder: Path, series: Any, wanted: Any) -> None:
        """Has Prometheus' own tool play an hour of these series; `wanted` are the pods of each alert."""
        rules = {rule["alert"]: rule for rule in self.all["PrometheusRule", "ssa"]["spec"]["groups"][0]["rules"]}

        def fired(alert: Any, name: str) -> Any:
            where = {"namespace": "shop", **({"pod": name} if name else {})}
            texts = {
                key: text.replace("{{ $labels.pod }}", name or "").replace("{{ $labels.namespace }}", "shop")
                for key, text in rules[alert]["annotations"].items()
            }
            return {"exp_labels": {**rules[alert]["labels"], **where}, "exp_annotations": texts}

        test = {
            "rule_files": ["rules.json"],
            "evaluation_interval": "1m",
            "tests": [
                {
                    "interval": "1m",
                    "input_series": [
                        {"series": one, "values": f"{0 if 'ssa_' in one.partition('{')[0] else 1}x60"} for one in series
                    ],
                    "alert_rule_test": [
                        {
                            "eval_time": "40m",
                            "alertname": alert,
                            "exp_alerts": [fired(alert, name) for name in sorted(pods, key=str)],
                        }
                        for alert, pods in wanted.items()
                    ],
                }
            ],
        }
        (folder / "test.json").write_text(json.dumps(test))
        must(self.options.promtool, "test", "rules", folder / "test.json")

    def the_dashboard_shows_series_without_a_namespace(self) -> None:
        # As those of Envoys and shims that no operator of Prometheus found: with all chosen, the label may be missing.
        dashboard = json.loads(self.all["ConfigMap", "ssa-dashboard"]["data"]["ssa.json"])
        (variable,) = [one for one in dashboard["templating"]["list"] if one["name"] == "namespace"]
        assert variable["includeAll"] and re.fullmatch(variable["allValue"], "") is not None, variable
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                assert 'namespace=~"$namespace"' in target["expr"] and "by (namespace" not in target["expr"], target[
                    "expr"
                ]
