# METADATA
# title: What the tests of all concerns share
# description: |
#   Requests that are allowed as they stand, and helpers that change one thing about them. A case names a base, one change
#   (a JSON patch operation) and the codes that must come of it: all of them and no other.
package cordon.testing_test

import data.cordon.decision
import data.cordon.stamp

digest := "sha256:1111111111111111111111111111111111111111111111111111111111111111"

# METADATA
# description: The whole decision on a request.
decide(request) := answer if {
	answer := decision with input as request with stamp as {"digest": digest}
}

# METADATA
# description: The codes of its reasons.
codes(answer) := {reason.code | some reason in answer.reasons}

# METADATA
# description: Cases that do not come out as they say; a base that is not allowed makes every case of it one.
failed(cases) := {name |
	some name, case in cases
	not holds(name, case)
}

holds(name, case) if {
	decide(bases[case.base]).allow == true
	answer := decide(json.patch(bases[case.base], [case.change]))
	answer.allow == false
	codes(answer) == {split(name, " ")[0]} | {code | some code in object.get(case, "also", [])}
	every reason in answer.reasons {
		reason.msg != ""
		reason.remedy != ""
	}
}

# METADATA
# description: |
#   Denials that go away when another part of the same thing is missing: what a message names, say. The cases, and the
#   field that must not matter so.
fragile(cases) := {[name, field] |
	some name, case in cases
	steps := split(trim_prefix(case.change.path, "/"), "/")
	some position, step in steps
	numeric(step)
	request := json.patch(bases[case.base], [case.change])
	element := array.slice(steps, 0, position + 1)
	some field, _ in object.get(request, [as_step(part) | some part in element], {})
	is_string(field)
	decide(json.remove(request, [concat("/", array.concat(element, [field]))])).allow
}

as_step(part) := to_number(part) if {
	numeric(part)
} else := part

numeric(step) if regex.match(`^[0-9]+$`, step)

# METADATA
# description: Changes after which the request must still be allowed, and is not; each has a base and a list of changes.
refused(variants) := {name |
	some name, variant in variants
	not decide(json.patch(bases[variant.base], variant.changes)).allow
}

# METADATA
# description: Requests that are allowed, by name.
bases["hello"] := hello

bases["signed"] := json.patch(hello, [{"op": "add", "path": "/facts/signatures/-", "value": signature("cp14", "sentinel", "k1")}])

bases["tmp"] := json.patch(hello, [{"op": "add", "path": "/intent/capabilities/-", "value": "fs:write_tmp"}])

bases["python"] := json.patch(hello, [{"op": "add", "path": "/intent/capabilities/-", "value": "dev:python"}])

bases["compiler"] := json.patch(hello, [{"op": "add", "path": "/intent/capabilities/-", "value": "dev:compiler"}])

bases["core"] := json.patch(bases.compiler, [
	{"op": "add", "path": "/facts/signatures/-", "value": signature("architect", "ada", "k2")},
	{"op": "add", "path": "/intent/files/-", "value": {"path": "/workspace/core/main.c", "mode": 420, "size": 10}},
])

bases["architect"] := json.patch(hello, [
	{"op": "replace", "path": "/intent/persona", "value": "architect"},
	{"op": "add", "path": "/intent/capabilities/-", "value": "sys:ptrace"},
	{"op": "add", "path": "/facts/signatures/-", "value": signature("architect", "ada", "k2")},
])

bases["file"] := json.patch(hello, [{
	"op": "add",
	"path": "/intent/files/-",
	"value": {"path": "/workspace/a.txt", "mode": 420, "size": 10},
}])

bases["env"] := json.patch(hello, [{
	"op": "add",
	"path": "/intent/env/-",
	"value": {"name": "LANG", "size": 5, "control": false},
}])

bases["patch"] := json.patch(hello, [
	{"op": "replace", "path": "/intent/patch", "value": {"size": 100, "paths": ["/workspace/a.py"]}},
	{"op": "add", "path": "/facts/reviews/-", "value": review("cp18", "PASS")},
])

bases["reviewed"] := json.patch(hello, [{"op": "add", "path": "/facts/reviews/-", "value": review("cp18", "PASS")}])

bases["argued"] := json.patch(bases.reviewed, [
	{"op": "add", "path": "/facts/reviews/-", "value": review("cp18", "PASS")},
	{"op": "add", "path": "/facts/reviews/-", "value": review("human", "PASS")},
])

bases["egress"] := json.patch(hello, [
	{"op": "replace", "path": "/intent/persona", "value": "operator"},
	{"op": "add", "path": "/facts/signatures/-", "value": signature("operator", "otto", "k3")},
	{"op": "add", "path": "/intent/capabilities/-", "value": "net:egress"},
	{"op": "replace", "path": "/intent/scope/network", "value": "egress"},
	{
		"op": "add",
		"path": "/intent/scope/endpoints/-",
		"value": {"host": "mirror.cordon.test", "port": 443, "proto": "tcp"},
	},
])

bases["production"] := json.patch(hello, [
	{"op": "replace", "path": "/intent/phase", "value": "production"},
	{"op": "add", "path": "/facts/reviews/-", "value": review("human", "PASS")},
	{"op": "add", "path": "/facts/signatures/-", "value": signature("human", "ada", "k2")},
	{"op": "add", "path": "/facts/signatures/-", "value": signature("cp14", "sentinel", "k1")},
])

bases["drill"] := json.patch(hello, [
	{"op": "replace", "path": "/intent/requester", "value": "drill"},
	{"op": "replace", "path": "/intent/capabilities", "value": ["base:execute", "dev:python", "dev:compiler", "fs:write_tmp"]},
	{"op": "replace", "path": "/intent/commands/0/argv", "value": ["sh", "-c", "unshare -r true"]},
	{"op": "add", "path": "/facts/forbidden_patterns/-", "value": {"rule": "unshare", "where": "commands[0]"}},
])

bases["daring"] := json.patch(bases.drill, [
	{
		"op": "replace",
		"path": "/intent/capabilities",
		"value": ["base:execute", "dev:python", "dev:compiler", "fs:write_tmp", "res:high_cpu", "res:large_mem", "net:egress"],
	},
	{"op": "replace", "path": "/intent/scope/network", "value": "egress"},
	{
		"op": "add",
		"path": "/intent/scope/endpoints/-",
		"value": {"host": "198.18.0.10", "port": 8080, "proto": "tcp"},
	},
	{"op": "add", "path": "/facts/reviews/-", "value": review("human", "PASS")},
])

bases["beside"] := json.patch(hello, [
	{"op": "replace", "path": "/intent/scope/write", "value": ["/workspace/site/**"]},
	{
		"op": "add",
		"path": "/facts/active_leases/-",
		"value": {"lease_id": "l-2", "requester": "cp18", "write": ["/workspace/docs/**"], "expires_at": 1700000001},
	},
])

bases["renewal"] := json.patch(hello, [{
	"op": "replace",
	"path": "/facts/lease",
	"value": {"ttl_s": 60, "renews": "l-1", "renewals": 2},
}])

bases["presented"] := json.patch(hello, [{"op": "add", "path": "/facts/presented/-", "value": {
	"lease_id": "l-1",
	"intent_id": "i-1",
	"issued_to": "cbo",
	"phase": "staging",
	"not_before": 1700000000,
	"expires_at": 1700000001,
	"revoked": false,
	"used": false,
	"signature_valid": true,
	"policy_digest": digest,
}}])

bases["artefact"] := json.patch(bases.artefact_beside, [
	{"op": "replace", "path": "/intent/commands/0/argv/0", "value": "/artefact/kernel"},
	{"op": "replace", "path": "/intent/capabilities", "value": ["exec:artefact"]},
])

bases["artefact_beside"] := json.patch(hello, [
	{"op": "add", "path": "/intent/capabilities/-", "value": "exec:artefact"},
	{"op": "add", "path": "/intent/artefacts/-", "value": artefact},
	{"op": "add", "path": "/facts/builds/-", "value": {
		"sha256": artefact.sha256,
		"requester": "cbo",
		"lease_id": "lease-1",
	}},
])

artefact := {
	"name": "kernel",
	"sha256": "2222222222222222222222222222222222222222222222222222222222222222",
	"size": 20000,
}

review(actor, verdict) := {"actor": actor, "verdict": verdict, "holder": actor}

signature(role, holder, kid) := {"role": role, "holder": holder, "kid": kid, "valid": true}

# METADATA
# description: Hello, Staging - what the executor asks for its first scenario.
hello := {
	"schema": "cordon.input/1",
	"now": 1700000000,
	"intent": {
		"id": "i-1",
		"requester": "cbo",
		"persona": "",
		"phase": "staging",
		"priority": "NORMAL",
		"capabilities": [
			"base:execute",
		],
		"commands": [
			{
				"argv": [
					"echo",
					"Hello, Staging",
				],
				"cwd": "/workspace",
			},
		],
		"env": [],
		"files": [],
		"artefacts": [],
		"patch": {
			"size": 0,
			"paths": [],
		},
		"collect": [],
		"scope": {
			"read": [
				"/**",
			],
			"write": [
				"/workspace/**",
			],
			"network": "deny_all",
			"endpoints": [],
		},
		"limits": {
			"cpu_quota": 100,
			"mem_quota_mb": 256,
			"disk_quota_mb": 256,
			"wallclock_timeout_s": 30,
			"fd_limit": 256,
			"pids": 64,
			"output_mb": 16,
		},
	},
	"facts": {
		"reviews": [
			{
				"actor": "cp14",
				"verdict": "PASS",
				"holder": "cp14",
			},
		],
		"signatures": [],
		"secrets_found": [],
		"forbidden_patterns": [],
		"budget": {
			"atp": 1000,
		},
		"history": {
			"violations": 0,
			"runs": 0,
		},
		"active_leases": [],
		"builds": [],
		"lease": {
			"ttl_s": 60,
			"renews": "",
			"renewals": 0,
		},
		"presented": [],
		"host": {
			"mem_free_mb": 8192,
			"cpu_free_percent": 100,
			"disk_free_mb": 32768,
			"vms_running": 0,
			"vms_max": 8,
		},
	},
}
