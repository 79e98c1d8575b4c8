package cordon_test

import data.cordon
import data.cordon.explain
import data.cordon.testing_test as testing

test_every_base_is_allowed if {
	every request in testing.bases {
		testing.decide(request).allow
	}
}

# Default-deny: take anything away, and it is denied, with a reason. In parts: opa gives each test five seconds.
test_a_missing_field_of_the_intent_denies if lacking({path | some path, _ in places; path[0] == "intent"}) == set()

test_a_missing_fact_about_reviewers_denies if lacking(said) == set()

test_any_other_missing_field_denies if {
	lacking({path | some path, _ in places; path[0] != "intent"; not path in said}) == set()
}

said contains path if {
	some path, _ in places
	path[0] == "facts"
	path[1] in {"reviews", "signatures", "presented"}
}

# The paths without which a request is allowed all the same.
lacking(paths) := {path |
	some path in paths
	request := testing.bases[min(places[path])]
	not denied(testing.decide(json.remove(request, [path_text(path)])))
	not optional(path)
}

# Every place in a request, with the bases that have it.
places[path] contains name if {
	some name in {"argued", "beside", "egress", "env", "file", "hello", "patch", "presented", "production", "signed"}
	walk(testing.bases[name], [path, _])
	count(path) > 0
}

denied(answer) if {
	answer.allow == false
	count(answer.reasons) > 0
}

# What may go: elements of lists that are not needed, and what only names a thing in messages.
optional(path) if {
	some position in path
	is_number(position)
	path[count(path) - 1] == position
}

optional(path) if path[count(path) - 1] in {"lease_id", "kid", "holder"}

path_text(path) := concat("/", [replace(replace(sprintf("%v", [part]), "~", "~0"), "/", "~1") | some part in path])

test_nothing_is_decided_about_nothing if {
	answer := testing.decide({})
	answer.allow == false
	count(answer.reasons) > 10
}

# Nothing denies, and still nothing is allowed: a grant is needed.
test_no_denial_is_no_permission if {
	not cordon.allow with cordon.rules.matrix.all_granted as false with input as testing.bases.hello
	not cordon.allow with cordon.rules.commands.all_granted as false with input as testing.bases.hello
	cordon.allow with input as testing.bases.hello
}

test_the_digest_is_of_the_loaded_bundle if {
	testing.decide(testing.bases.hello).policy_digest == testing.digest
	cordon.policy_digest == "sha256:0000000000000000000000000000000000000000000000000000000000000000"
}

test_all_keys_are_there if {
	answer := testing.decide(testing.bases.egress)
	object.keys(answer) == {"allow", "reasons", "grants", "obligations", "risk", "policy_digest"}
	answer.obligations == {
		"limits": testing.bases.egress.intent.limits,
		"hard": {"net:egress"},
		"soft": {"base:execute"},
		"reviewers": {"cp14"},
		"keys_required": set(),
		"atp_cost": 12,
		"lease_ttl_s": 60,
		"scope": {
			"read": {"/**"},
			"write": {"/workspace/**"},
			"deny": cordon.rules.paths.denylist,
			"commands": {"echo"},
			"env": set(),
			"network": "egress",
			"endpoints": {{"host": "mirror.cordon.test", "port": 443, "proto": "tcp"}},
		},
	}
	answer.risk == {"score": 30, "band": "low", "factors": {{"name": "capability net:egress", "points": 30}}}
}

test_the_tree_names_every_concern if {
	request := json.patch(testing.bases.hello, [{"op": "replace", "path": "/facts/host/vms_running", "value": 8}])
	tree := explain.tree with input as request
	{branch.concern | some branch in tree} == {
		"arbitration", "artefacts", "atp", "commands", "env", "host", "identity", "lease", "limits", "matrix", "network",
		"paths", "phases", "reviews", "risk", "scope", "shape",
	}
	{branch.concern | some branch in tree; not branch.passed} == {"host"}
}
