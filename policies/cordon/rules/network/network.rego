# METADATA
# title: Network
# description: No network by default; with net:egress the endpoints that are named, if they are on the allowlist.
package cordon.rules.network

import data.cordon.reason
import data.cordon.rules.matrix

# METADATA
# title: Network is asked for without net:egress
# custom:
#   short_name: capability_missing
#   remedy: Add net:egress to the capabilities, or leave network and endpoints out.
deny contains reason.from(rego.metadata.chain(), []) if not covered

covered if "net:egress" in input.intent.capabilities

covered if {
	input.intent.scope.network == "deny_all"
	count(input.intent.scope.endpoints) == 0
}

# METADATA
# title: net:egress is asked for without saying where to
# custom:
#   short_name: no_endpoint
#   remedy: Set scope.network to egress and name every endpoint, or leave net:egress out.
deny contains reason.from(rego.metadata.chain(), []) if not purposeful

purposeful if not "net:egress" in input.intent.capabilities

purposeful if {
	input.intent.scope.network == "egress"
	count(input.intent.scope.endpoints) > 0
}

# METADATA
# title: The host is not spelled plainly
# custom:
#   short_name: host_not_plain
#   remedy: Write a name in lower-case ASCII letters, digits, dots and hyphens, with no dot at its end, or four plain numbers.
deny contains reason.from(rego.metadata.chain(), [reason.field(endpoint, "host")]) if {
	some endpoint in input.intent.scope.endpoints
	not plain(endpoint.host)
}

plain(host) if {
	count(host) <= 253
	regex.match(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`, host)
}

plain(host) if address(host)

# METADATA
# description: |
#   Whether the host is an IPv4 address in its one spelling. Other numbers are no name either: resolvers read 198.18.0.01
#   as an address, and each its own.
address(host) := regex.match(
	`^(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(\.(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])){3}$`,
	host,
)

# METADATA
# title: The endpoint is on the denylist
# custom:
#   short_name: denied
#   remedy: Leave the endpoint out; metadata services, the host itself and this host's networks are never reachable.
deny contains reason.from(rego.metadata.chain(), [reason.field(endpoint, "host")]) if {
	some endpoint in input.intent.scope.endpoints
	denied(endpoint.host)
}

denied(host) if {
	some pattern in data.cordon.rules.network.denylist
	glob.match(pattern, ["."], host)
}

# METADATA
# title: The endpoint is not on the allowlist
# custom:
#   short_name: not_allowed
#   remedy: Use a host, port and protocol of network/data.yaml, or have the endpoint added there.
deny contains reason.from(rego.metadata.chain(), [shown(endpoint)]) if {
	some endpoint in input.intent.scope.endpoints
	not judged(endpoint)
}

shown(endpoint) := sprintf("%v://%v:%v", [reason.field(endpoint, part) | some part in ["proto", "host", "port"]])

# A host that is denied or not plain has a reason of its own.
judged(endpoint) if listed(endpoint)

judged(endpoint) if denied(endpoint.host)

judged(endpoint) if {
	is_string(endpoint.host)
	not plain(endpoint.host)
}

listed(endpoint) if {
	some entry in data.cordon.rules.network.allowlist
	glob.match(entry.host, ["."], endpoint.host)
	endpoint.port in entry.ports
	endpoint.proto == entry.proto
	address(endpoint.host) == address(replace(entry.host, "*", "0")) # a name may look as if it lay among addresses
}

# METADATA
# scope: document
# description: Mode granted.
default mode := "deny_all"

mode := "egress" if {
	"net:egress" in matrix.granted
	count(granted) > 0
}

# METADATA
# description: Endpoints granted.
granted contains endpoint if {
	"net:egress" in matrix.granted
	some endpoint in input.intent.scope.endpoints
	plain(endpoint.host)
	listed(endpoint)
	not denied(endpoint.host)
}
