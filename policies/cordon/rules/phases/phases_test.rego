package cordon.rules.phases_test

import data.cordon.testing_test as testing

# Each is denied for exactly the code that it begins with; without the change it is allowed.
cases := {
	"phases.key_missing agent": {
		"base": "production",
		"change": {
			"op": "replace",
			"path": "/facts/signatures/1/role",
			"value": "cp20",
		},
	},
	"phases.key_missing human": {
		"base": "production",
		"change": {
			"op": "replace",
			"path": "/facts/signatures/0/role",
			"value": "architect",
		},
	},
	"phases.key_missing none": {
		"base": "production",
		"change": {
			"op": "replace",
			"path": "/facts/signatures",
			"value": [],
		},
	},
	"phases.key_missing invalid": {
		"base": "production",
		"change": {
			"op": "replace",
			"path": "/facts/signatures/1/valid",
			"value": false,
		},
		"also": [
			"identity.invalid_signature",
		],
	},
	"phases.key_missing invalid human": {
		"base": "production",
		"change": {
			"op": "replace",
			"path": "/facts/signatures/0/valid",
			"value": false,
		},
		"also": [
			"identity.invalid_signature",
		],
	},
	"phases.one_holder holder": {
		"base": "production",
		"change": {
			"op": "replace",
			"path": "/facts/signatures/1/holder",
			"value": "ada",
		},
	},
	"phases.one_holder key": {
		"base": "production",
		"change": {
			"op": "replace",
			"path": "/facts/signatures/1/kid",
			"value": "k2",
		},
	},
}

test_denied if testing.failed(cases) == set()

test_denied_whatever_else_is_missing if testing.fragile(cases) == set()

# Each is allowed: the nearest neighbours of what is denied above.
variants := {
	"by cp18": {
		"base": "production",
		"changes": [
			{
				"op": "replace",
				"path": "/facts/signatures/1/role",
				"value": "cp18",
			},
		],
	},
	"a third signature": {
		"base": "production",
		"changes": [
			{
				"op": "add",
				"path": "/facts/signatures/-",
				"value": {
					"role": "cp18",
					"holder": "ada",
					"kid": "k2",
					"valid": true,
				},
			},
		],
	},
	"in the other order": {
		"base": "production",
		"changes": [
			{
				"op": "add",
				"path": "/facts/signatures/0",
				"value": {
					"role": "cp14",
					"holder": "sentinel",
					"kid": "k1",
					"valid": true,
				},
			},
			{
				"op": "remove",
				"path": "/facts/signatures/2",
			},
		],
	},
}

test_allowed if testing.refused(variants) == set()

test_keys if {
	testing.decide(testing.bases.hello).obligations.keys_required == set()
	testing.decide(testing.bases.production).obligations.keys_required == {"human", "agent"}
}

# A key that is not valid turns nothing, not even beside one that is.
test_an_invalid_key_is_no_second_holder if {
	request := json.patch(testing.bases.production, [
		{"op": "replace", "path": "/facts/signatures/1/holder", "value": "ada"},
		{
			"op": "add",
			"path": "/facts/signatures/-",
			"value": {"role": "cp18", "holder": "validator", "kid": "k9", "valid": false},
		},
		{
			"op": "add",
			"path": "/facts/signatures/-",
			"value": {"role": "human", "holder": "otto", "kid": "k8", "valid": false},
		},
	])
	testing.codes(testing.decide(request)) == {"phases.one_holder", "identity.invalid_signature"}
}
