package cordon.rules.lease_test

import data.cordon.rules.lease
import data.cordon.testing_test as testing

# Each is denied for exactly the code that it begins with; without the change it is allowed.
cases := {
	"lease.ttl long": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/facts/lease/ttl_s",
			"value": 601,
		},
	},
	"lease.ttl none": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/facts/lease/ttl_s",
			"value": 0,
		},
		"also": [
			"lease.shorter_than_task",
		],
	},
	"lease.shorter_than_task": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/facts/lease/ttl_s",
			"value": 29,
		},
	},
	"lease.signature": {
		"base": "presented",
		"change": {
			"op": "replace",
			"path": "/facts/presented/0/signature_valid",
			"value": false,
		},
	},
	"lease.not_yet_valid": {
		"base": "presented",
		"change": {
			"op": "replace",
			"path": "/facts/presented/0/not_before",
			"value": 1700000001,
		},
	},
	"lease.expired": {
		"base": "presented",
		"change": {
			"op": "replace",
			"path": "/facts/presented/0/expires_at",
			"value": 1700000000,
		},
	},
	"lease.revoked": {
		"base": "presented",
		"change": {
			"op": "replace",
			"path": "/facts/presented/0/revoked",
			"value": true,
		},
	},
	"lease.used": {
		"base": "presented",
		"change": {
			"op": "replace",
			"path": "/facts/presented/0/used",
			"value": true,
		},
	},
	"lease.holder": {
		"base": "presented",
		"change": {
			"op": "replace",
			"path": "/facts/presented/0/issued_to",
			"value": "drill",
		},
	},
	"lease.intent": {
		"base": "presented",
		"change": {
			"op": "replace",
			"path": "/facts/presented/0/intent_id",
			"value": "i-2",
		},
	},
	"lease.phase": {
		"base": "presented",
		"change": {
			"op": "replace",
			"path": "/facts/presented/0/phase",
			"value": "production",
		},
	},
	"lease.stale_policy": {
		"base": "presented",
		"change": {
			"op": "replace",
			"path": "/facts/presented/0/policy_digest",
			"value": "sha256:2222",
		},
	},
}

test_denied if testing.failed(cases) == set()

test_denied_whatever_else_is_missing if testing.fragile(cases) == set()

# Each is allowed: the nearest neighbours of what is denied above.
variants := {
	"longest": {
		"base": "hello",
		"changes": [
			{
				"op": "replace",
				"path": "/facts/lease/ttl_s",
				"value": 600,
			},
		],
	},
	"as long as the task": {
		"base": "hello",
		"changes": [
			{
				"op": "replace",
				"path": "/facts/lease/ttl_s",
				"value": 30,
			},
		],
	},
	"shortest": {
		"base": "hello",
		"changes": [
			{
				"op": "replace",
				"path": "/facts/lease/ttl_s",
				"value": 1,
			},
			{
				"op": "replace",
				"path": "/intent/limits/wallclock_timeout_s",
				"value": 1,
			},
		],
	},
}

test_allowed if testing.refused(variants) == set()

test_ttl_granted if {
	lease.ttl_granted == 60 with input as testing.bases.hello
	lease.ttl_granted == 600 with input.facts.lease.ttl_s as 601
	lease.ttl_granted == 0 with input.facts.lease.ttl_s as -1
	lease.ttl_granted == 0 with input as {}
}
