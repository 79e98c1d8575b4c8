package cordon.rules.scope_test

import data.cordon.rules.paths.denylist
import data.cordon.testing_test as testing

# Each is denied for exactly the code that it begins with; without the change it is allowed.
cases := {
	"scope.not_plain read": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/scope/read/0",
			"value": "/a//**",
		},
	},
	"scope.not_plain write": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/scope/write/0",
			"value": "/workspace/../workspace/**",
		},
	},
	"scope.not_plain three stars": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/scope/read/0",
			"value": "/***",
		},
	},
	"scope.not_plain braces": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/scope/read/0",
			"value": "/{a,b}",
		},
	},
	"scope.not_plain class": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/scope/read/0",
			"value": "/[a]",
		},
	},
	"scope.not_plain question mark": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/scope/read/0",
			"value": "/?",
		},
	},
	"scope.not_plain look-alike": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/scope/read/0",
			"value": "/\uff41/**",
		},
	},
	"scope.write_not_allowed all": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/scope/write/0",
			"value": "/**",
		},
	},
	"scope.write_not_allowed beside": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/scope/write/0",
			"value": "/workspaces/**",
		},
	},
	"scope.write_not_allowed star": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/scope/write/0",
			"value": "/work*/**",
		},
	},
	"scope.write_not_allowed tmp": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/scope/write/0",
			"value": "/tmp/**",
		},
	},
	"scope.write_not_allowed second": {
		"base": "hello",
		"change": {
			"op": "add",
			"path": "/intent/scope/write/-",
			"value": "/usr/**",
		},
	},
	"scope.denied read": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/scope/read/0",
			"value": "/root/**",
		},
	},
	"scope.denied write": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/scope/write/0",
			"value": "/workspace/.git/hooks/*",
		},
	},
}

test_denied if testing.failed(cases) == set()

test_denied_whatever_else_is_missing if testing.fragile(cases) == set()

# Each is allowed: the nearest neighbours of what is denied above.
variants := {
	"one file": {
		"base": "hello",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/scope/write",
				"value": [
					"/workspace/a",
				],
			},
		],
	},
	"nothing": {
		"base": "hello",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/scope/write",
				"value": [],
			},
			{
				"op": "replace",
				"path": "/intent/scope/read",
				"value": [],
			},
		],
	},
	"tmp with its capability": {
		"base": "tmp",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/scope/write",
				"value": [
					"/tmp/**",
				],
			},
		],
	},
	"stars": {
		"base": "hello",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/scope/write",
				"value": [
					"/workspace/*/a*b/**",
				],
			},
		],
	},
}

test_allowed if testing.refused(variants) == set()

test_what_is_asked_is_granted if {
	answer := testing.decide(testing.bases.hello)
	answer.obligations.scope.read == {"/**"}
	answer.obligations.scope.write == {"/workspace/**"}
	answer.obligations.scope.deny == denylist
}
