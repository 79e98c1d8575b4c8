package cordon.rules.identity_test

import data.cordon.rules.identity
import data.cordon.testing_test as testing

# Each is denied for exactly the code that it begins with; without the change it is allowed.
cases := {
	"identity.invalid_signature": {
		"base": "signed",
		"change": {
			"op": "replace",
			"path": "/facts/signatures/0/valid",
			"value": false,
		},
	},
	"identity.persona_unsigned role": {
		"base": "egress",
		"change": {
			"op": "replace",
			"path": "/facts/signatures/0/role",
			"value": "cp14",
		},
	},
	"identity.persona_unsigned none": {
		"base": "egress",
		"change": {
			"op": "replace",
			"path": "/facts/signatures",
			"value": [],
		},
	},
	"identity.capability_unsigned": {
		"base": "architect",
		"change": {
			"op": "replace",
			"path": "/facts/signatures/0/role",
			"value": "cp14",
		},
		"also": [
			"identity.persona_unsigned",
		],
	},
	"identity.core_paths file": {
		"base": "core",
		"change": {
			"op": "replace",
			"path": "/facts/signatures/0/role",
			"value": "cp14",
		},
	},
	"identity.core_paths executor": {
		"base": "compiler",
		"change": {
			"op": "replace",
			"path": "/intent/collect",
			"value": [
				"/workspace/executor/a/b.py",
			],
		},
	},
	"identity.core_paths policies": {
		"base": "compiler",
		"change": {
			"op": "replace",
			"path": "/intent/scope/write",
			"value": [
				"/workspace/policies/**",
			],
		},
	},
	"identity.core_paths keys": {
		"base": "compiler",
		"change": {
			"op": "replace",
			"path": "/intent/collect",
			"value": [
				"/workspace/keys/k",
			],
		},
	},
	"identity.core_paths core": {
		"base": "compiler",
		"change": {
			"op": "replace",
			"path": "/intent/collect",
			"value": [
				"/workspace/core/k",
			],
		},
	},
	"identity.priority_reserved": {
		"base": "drill",
		"change": {
			"op": "replace",
			"path": "/intent/priority",
			"value": "CRITICAL",
		},
	},
}

test_denied if testing.failed(cases) == set()

test_denied_whatever_else_is_missing if testing.fragile(cases) == set()

# Each is allowed: the nearest neighbours of what is denied above.
variants := {
	"core paths without a compiler": {
		"base": "core",
		"changes": [
			{
				"op": "replace",
				"path": "/facts/signatures",
				"value": [],
			},
			{
				"op": "replace",
				"path": "/intent/capabilities",
				"value": [
					"base:execute",
				],
			},
		],
	},
	"beside the core paths": {
		"base": "compiler",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/collect",
				"value": [
					"/workspace/corex/a",
				],
			},
		],
	},
	"the overseer's critical": {
		"base": "hello",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/priority",
				"value": "CRITICAL",
			},
		],
	},
	"high": {
		"base": "drill",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/priority",
				"value": "HIGH",
			},
		],
	},
	"normal": {
		"base": "drill",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/priority",
				"value": "NORMAL",
			},
		],
	},
	"low": {
		"base": "drill",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/priority",
				"value": "LOW",
			},
		],
	},
}

test_allowed if testing.refused(variants) == set()

test_critical_is_open_to_the_optimizer if {
	identity.priority_open with input as json.patch(testing.bases.hello, [
		{"op": "replace", "path": "/intent/requester", "value": "cp19"},
		{"op": "replace", "path": "/intent/priority", "value": "CRITICAL"},
	])
}

# A patch is work on the paths that it touches.
test_patch_touches_core if {
	identity.core_touched == ["/workspace/core/a.c"] with input as json.patch(testing.bases.patch, [{
		"op": "replace",
		"path": "/intent/patch/paths",
		"value": ["/workspace/core/a.c"],
	}])
}
