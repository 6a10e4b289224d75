{{- define "ssa.labels" -}}
app.kubernetes.io/name: ssa
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* The pods of a role: (dict "root" $ "role" "inbound"), with "workload" those that serve the same. */}}
{{- define "ssa.selector" -}}
ssa-{{ .role }}: {{ .workload | default "enabled" }}
{{- with index .root.Values .role "selector" }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The extension of a role, and so its filter: unique in a mesh. */}}
{{- define "ssa.extension" -}}
ssa-{{ .role }}.{{ .root.Release.Namespace }}.{{ .root.Release.Name }}
{{- end }}

{{/* What closes a server that no service judges: the name of its filters, without what the second has besides. */}}
{{- define "ssa.closing" -}}
ssa-closed.{{ .Release.Namespace }}.{{ .Release.Name }}
{{- end }}

{{- define "ssa.moduleUrl" -}}
{{- if .Values.module.serve.enabled -}}
http://{{ .Release.Name }}-module.{{ .Release.Namespace }}.svc:8080/ssa_filter.wasm
{{- else -}}
{{ .Values.module.url }}
{{- end -}}
{{- end }}

{{/* The services of a role, with "workload" those that it serves, as JSON. */}}
{{- define "ssa.services" -}}
{{- $services := list -}}
{{- range .root.Values.services }}
{{- if and (hasKey . $.role) (or (not $.workload) (has $.workload (include "ssa.workloadsOf" . | fromJsonArray))) }}{{ $services = append $services . }}{{ end }}
{{- end -}}
{{- toJson $services -}}
{{- end }}

{{/* The workloads that serve a service: values of their pods' label ssa-inbound, as JSON. */}}
{{- define "ssa.workloadsOf" -}}
{{- .inbound.workloads | default (list "enabled") | toJson -}}
{{- end }}

{{/* All workloads that serve something, as JSON. */}}
{{- define "ssa.workloads" -}}
{{- $workloads := list -}}
{{- range .Values.services }}{{ if hasKey . "inbound" }}{{ $workloads = concat $workloads (include "ssa.workloadsOf" . | fromJsonArray) }}{{ end }}{{ end -}}
{{- $workloads | uniq | sortAlpha | toJson -}}
{{- end }}

{{/* What names the objects of a workload end in: nothing for those of the label's value `enabled`. */}}
{{- define "ssa.suffix" -}}
{{- if ne . "enabled" }}-{{ . }}{{ end -}}
{{- end }}

{{/* The ports on which a role's filter stands, each once, as JSON. */}}
{{- define "ssa.ports" -}}
{{- $ports := list -}}
{{- range include "ssa.services" . | fromJsonArray }}{{ range .ports }}{{ $ports = append $ports (int .number) }}{{ end }}{{ end -}}
{{- uniq $ports | toJson -}}
{{- end }}

{{/* The ports of a role that the mesh takes for HTTP, each once, with whether the application speaks HTTP/2, as JSON. */}}
{{- define "ssa.httpPorts" -}}
{{- $ports := list -}}
{{- range include "ssa.services" . | fromJsonArray }}{{ range .ports }}
{{- if has .protocol (list "HTTP" "HTTP2" "GRPC") }}{{ $ports = append $ports (dict "number" (int .number) "http2" (ne .protocol "HTTP")) }}{{ end }}
{{- end }}{{ end -}}
{{- uniq $ports | toJson -}}
{{- end }}

{{/* The ports of a role on which each request is looked at, as JSON. */}}
{{- define "ssa.requestPorts" -}}
{{- $ports := list -}}
{{- range include "ssa.services" . | fromJsonArray }}
{{- $own := list -}}
{{- range .ports }}{{ if has .protocol (list "HTTP" "HTTP2" "GRPC") }}{{ $own = append $own (int .number) }}{{ end }}{{ end -}}
{{- if and .requests (not $own) }}{{ fail (printf "services: %s: requests are those of HTTP, HTTP2 and GRPC, and no port has one of them" .name) }}{{ end -}}
{{- if and (hasKey . "outbound") (dig "hosts" "" (.outbound | default dict)) (not .requests) }}{{ fail (printf "services: %s: outbound.hosts is for services with requests: true" .name) }}{{ end -}}
{{- if .requests }}{{ $ports = concat $ports $own }}{{ end }}
{{- end -}}
{{- uniq $ports | toJson -}}
{{- end }}

{{/* The extension that looks at a role's requests, and so its filters: unique in a mesh. */}}
{{- define "ssa.requestExtension" -}}
ssa-{{ .role }}-requests.{{ .root.Release.Namespace }}.{{ .root.Release.Name }}
{{- end }}

{{/* What the mesh knows a service by, as JSON: its `addresses`, or the items that `static` publishes, or `allowed`. */}}
{{- define "ssa.addresses" -}}
{{- $found := .addresses | default list -}}
{{- if and (not $found) .static -}}
{{- range splitList " " ((.static.apl | default "") | replace "\t" " ") }}
{{- $item := trimPrefix "!" . }}
{{- if hasPrefix "2:" $item }}{{ $found = append $found (trimPrefix "2:" $item) }}{{ end }}
{{- end }}
{{- end -}}
{{- if not $found }}{{ $found = .allowed }}{{ end -}}
{{- uniq $found | toJson -}}
{{- end }}

{{/* What `services[]` says, as an entry of the resolver's configuration with some roles: (dict "service" . "roles" (list …)). */}}
{{- define "ssa.entry" -}}
{{- $service := .service -}}
{{- $entry := dict "name" $service.name "allowed" $service.allowed -}}
{{- with $service.domain }}{{ $_ := set $entry "domain" . }}{{ end -}}
{{- with $service.static }}{{ $_ := set $entry "static" . }}{{ end -}}
{{- $ports := list -}}
{{- range $service.ports }}{{ $ports = append $ports (int .number) }}{{ end -}}
{{- if and (has "inbound" .roles) (hasKey $service "inbound") -}}
{{- $part := dict "ports" $ports -}}
{{- with $service.inbound -}}
{{- with .mode }}{{ $_ := set $part "mode" . }}{{ end -}}
{{- with .policy }}{{ $_ := set $part "policy" . }}{{ end -}}
{{- with .secrets }}{{ $_ := set $part "secrets" (printf "/etc/ssa/secrets/%s" .) }}{{ end -}}
{{- end -}}
{{- $_ := set $entry "inbound" $part -}}
{{- end -}}
{{- if and (has "outbound" .roles) (hasKey $service "outbound") -}}
{{- $part := dict "ports" $ports -}}
{{- with $service.outbound -}}
{{- with .port }}{{ $_ := set $part "port" (int .) }}{{ end -}}
{{- with .clientKeys }}{{ $_ := set $part "client_keys" (printf "/etc/ssa/secrets/%s" .) }}{{ end -}}
{{- with .secrets }}{{ $_ := set $part "secrets" (printf "/etc/ssa/secrets/%s" .) }}{{ end -}}
{{- end -}}
{{- $_ := set $entry "outbound" $part -}}
{{- end -}}
{{- toJson $entry -}}
{{- end }}

{{/* Where the shim serves snapshots: `ssa lint --host` looks there too. */}}
{{- define "ssa.socket" -}}
/run/ssa/snapshot.sock
{{- end }}

{{/* The patches that both roles have: the module, and the cluster of the shim beside it. The caller adds the filter. */}}
{{- define "ssa.module" -}}
{{- $context := printf "SIDECAR_%s" (upper .role) -}}
# The shim beside this Envoy. Snapshots hold secrets: a socket in a volume of the pod's own.
- applyTo: CLUSTER
  match: { context: {{ $context }} }
  patch:
    operation: ADD
    value:
      name: ssa_resolver_{{ .role }}
      type: STATIC
      connect_timeout: 1s
      load_assignment:
        cluster_name: ssa_resolver_{{ .role }}
        endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path: {{ include "ssa.socket" . }} } } } }] }]
{{- $requests := include "ssa.requestPorts" . | fromJsonArray }}
{{- $configuration := .configuration }}
{{- if $requests }}{{ $configuration = merge (dict "filter" "both") $configuration }}{{ end }}
{{- range $type := ternary (list "network" "http") (list "network") (gt (len $requests) 0) }}
# By ECDS, for only that goes through pilot-agent, which fetches the module.
- applyTo: EXTENSION_CONFIG
  match: { context: {{ $context }} }
  patch:
    operation: ADD
    value:
      name: {{ include (ternary "ssa.requestExtension" "ssa.extension" (eq $type "http")) $ }}
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.{{ $type }}.wasm.v3.Wasm
        config:
          # Of one name and configuration, filters for connections and for requests share what they know.
          name: {{ include "ssa.extension" $ }}
          # A trap ends one worker's VM; it starts anew, and until then connections are closed.
          failure_policy: FAIL_RELOAD
          vm_config:
            vm_id: ssa
            runtime: envoy.wasm.runtime.v8
            # What the module asks for, and no more.
            capability_restriction_config:
              allowed_capabilities:
                {{- $.root.Files.Get "files/capabilities.yaml" | nindent 16 }}
            code:
              remote:
                http_uri: { uri: {{ include "ssa.moduleUrl" $.root | quote }}, cluster: _, timeout: 30s }
                sha256: {{ $.root.Values.module.sha256 | quote }}
            {{- with $.root.Values.module.pullSecret }}
            environment_variables:
              key_values: { ISTIO_META_WASM_IMAGE_PULL_SECRET: {{ printf "%s/%s" $.root.Release.Namespace . | quote }} }
            {{- end }}
          configuration:
            "@type": type.googleapis.com/google.protobuf.StringValue
            value: |
              {{- $configuration | toPrettyJson | nindent 14 }}
{{- end }}
{{- end }}

{{/* The filter of requests, as the last one before the router: (dict … "listener" (dict …) "disabled" true|false). */}}
{{- define "ssa.requestFilter" -}}
{{- $chain := dict "filterChain" (dict "filter" (dict "name" "envoy.filters.network.http_connection_manager" "subFilter" (dict "name" "envoy.filters.http.router"))) }}
- applyTo: HTTP_FILTER
  match:
    context: SIDECAR_{{ upper .role }}
    listener: {{ merge $chain .listener | toJson }}
  patch:
    operation: INSERT_BEFORE
    value: {{- include "ssa.requestFilterOf" . | nindent 6 }}
{{- if .disabled }}
# For each attempt to send a request. The codec has to be the last one: without it Envoy crashes at the first request.
- applyTo: HTTP_FILTER
  match:
    context: SIDECAR_{{ upper .role }}
    listener: {{ merge $chain .listener | toJson }}
  patch:
    operation: MERGE
    value:
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
        upstream_http_filters:
          - {{- include "ssa.requestFilterOf" . | nindent 12 }}
          - name: envoy.filters.http.upstream_codec
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec
{{- end }}
{{- end }}

{{- define "ssa.requestFilterOf" -}}
name: {{ include "ssa.requestExtension" . }}
{{- if .disabled }}
# Switched on by the virtual hosts of services: others of the same port do without.
disabled: true
{{- end }}
config_discovery:
  config_source: { ads: {}, initial_fetch_timeout: 0s, resource_api_version: V3 }
  # RBAC is what pilot-agent sends where it cannot fetch the module: it denies.
  type_urls:
    - type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
    - type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC
{{- end }}

{{/* The filter before all others of the chains it is put into: (dict … "listener" (dict …)); with "before", before that one. */}}
{{- define "ssa.filter" -}}
- applyTo: NETWORK_FILTER
  match:
    context: SIDECAR_{{ upper .role }}
    {{- $listener := .listener }}
    {{- with .before }}{{ $listener = merge (dict "filterChain" (dict "filter" (dict "name" .))) $listener }}{{ end }}
    listener: {{ toJson $listener }}
  patch:
    operation: {{ ternary "INSERT_BEFORE" "INSERT_FIRST" (not (empty .before)) }}
    value:
      name: {{ include "ssa.extension" . }}
      config_discovery:
        # Nothing is served before the configuration is there.
        config_source: { ads: {}, initial_fetch_timeout: 0s, resource_api_version: V3 }
        # Not RBAC, which pilot-agent sends where it cannot fetch the module: that denies at the client's first octet, and who
        # says nothing hears a server that speaks first. Without a configuration Envoy closes connections when it accepts them.
        type_urls: [type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm]
{{- end }}

{{/* The prefixes that slices may lie in, with blanks between them. */}}
{{- define "ssa.slicesAllowed" -}}
{{- $allowed := list -}}
{{- range .Values.services }}{{ $allowed = concat $allowed .allowed }}{{ end -}}
{{- concat $allowed .Values.slices.allowed | uniq | join " " -}}
{{- end }}
