package cordon.rules.artefacts_test

import data.cordon.rules.artefacts
import data.cordon.testing_test as testing

# Each is denied for exactly the code that it begins with; without the change it is allowed.
cases := {
	"artefacts.not_asked": {
		"base": "hello",
		"change": {"op": "replace", "path": "/intent/artefacts", "value": testing.bases.artefact.intent.artefacts},
		"also": ["artefacts.unknown_origin"],
	},
	"artefacts.none_named": {
		"base": "tmp",
		"change": {"op": "add", "path": "/intent/capabilities/-", "value": "exec:artefact"},
	},
	"artefacts.name upper": {
		"base": "artefact_beside",
		"change": {"op": "replace", "path": "/intent/artefacts/0/name", "value": "Kernel"},
	},
	"artefacts.name up": {
		"base": "artefact_beside",
		"change": {"op": "replace", "path": "/intent/artefacts/0/name", "value": "../kernel"},
	},
	"artefacts.name hidden": {
		"base": "artefact_beside",
		"change": {"op": "replace", "path": "/intent/artefacts/0/name", "value": ".kernel"},
	},
	"artefacts.name empty": {
		"base": "artefact_beside",
		"change": {"op": "replace", "path": "/intent/artefacts/0/name", "value": ""},
	},
	"artefacts.name long": {
		"base": "artefact_beside",
		"change": {"op": "replace", "path": "/intent/artefacts/0/name", "value": sprintf("a%s", [longest])},
	},
	"artefacts.name line": {
		"base": "artefact_beside",
		"change": {"op": "replace", "path": "/intent/artefacts/0/name", "value": "kernel\n"},
	},
	"artefacts.same_name": {
		"base": "artefact",
		"change": {"op": "add", "path": "/intent/artefacts/-", "value": testing.bases.artefact.intent.artefacts[0]},
	},
	"artefacts.too_large bytes": {
		"base": "artefact",
		"change": {"op": "replace", "path": "/intent/artefacts/0/size", "value": 8388609},
	},
	"artefacts.too_large number": {
		"base": "artefact",
		"change": {"op": "replace", "path": "/intent/artefacts", "value": many(5)},
	},
	"artefacts.unknown_origin bytes": {
		"base": "artefact",
		"change": {"op": "replace", "path": "/intent/artefacts/0/sha256", "value": testing.digest},
	},
	"artefacts.unknown_origin builder": {
		"base": "artefact",
		"change": {"op": "replace", "path": "/facts/builds/0/requester", "value": "cp18"},
	},
	"artefacts.unknown_origin never": {
		"base": "artefact",
		"change": {"op": "replace", "path": "/facts/builds", "value": []},
	},
}

test_denied if testing.failed(cases) == set()

test_denied_whatever_else_is_missing if testing.fragile(cases) == set()

# Each is allowed: the nearest neighbours of what is denied above.
variants := {
	"largest": {
		"base": "artefact",
		"changes": [{"op": "replace", "path": "/intent/artefacts/0/size", "value": 8388608}],
	},
	"most": {
		"base": "artefact",
		"changes": [{"op": "replace", "path": "/intent/artefacts", "value": many(4)}],
	},
	"longest name": {
		"base": "artefact_beside",
		"changes": [{"op": "replace", "path": "/intent/artefacts/0/name", "value": longest}],
	},
	"every letter": {
		"base": "artefact_beside",
		"changes": [{"op": "replace", "path": "/intent/artefacts/0/name", "value": "0a.b_c-9z"}],
	},
	"built twice": {
		"base": "artefact",
		"changes": [{"op": "add", "path": "/facts/builds/0", "value": {
			"sha256": testing.artefact.sha256,
			"requester": "cp18",
			"lease_id": "lease-2",
		}}],
	},
}

test_allowed if testing.refused(variants) == set()

longest := concat("", [letter | some _ in numbers.range(1, 64); letter := "a"])

many(number) := array.concat([testing.artefact], [another |
	some n in numbers.range(2, number)
	another := json.patch(testing.artefact, [{"op": "replace", "path": "/name", "value": sprintf("kernel-%d", [n])}])
])

# What a denial says, by the case that is denied: which artefact it is about.
words := {
	"artefacts.not_asked": `An artefact is brought along without the capability to execute it: "kernel"`,
	"artefacts.name upper": `The artefact's name is not plain: "Kernel"`,
	"artefacts.unknown_origin never": `The artefact was not built here by this requester: "kernel"`,
}

said[name] contains reason.msg if {
	some name, _ in words
	case := cases[name]
	some reason in artefacts.deny with input as json.patch(testing.bases[case.base], [case.change])
	reason.code == split(name, " ")[0]
}

test_what_is_said if said == {name: {word} | some name, word in words}
