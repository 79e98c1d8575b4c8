# METADATA
# title: Who may ask OPA for what
# description: |
#   OPA's own door (`--authorization=basic`). Whoever reaches the socket may ask; nobody may change what is loaded: a new
#   policy comes in a new OPA.
package system.authz

# METADATA
# description: Reading and asking only; writes by PUT, PATCH and DELETE and everything not named are refused.
default allow := false

allow if {
	input.method in {"GET", "POST"}
	input.path[0] == "v1"
	input.path[1] == "data"
}

allow if {
	input.method == "GET"
	input.path == ["v1", "policies"]
}

allow if {
	input.method == "GET"
	input.path == ["health"]
}
