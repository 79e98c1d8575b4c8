package cordon.rules.limits_test

import data.cordon.rules.limits
import data.cordon.testing_test as testing

# Each is denied for exactly the code that it begins with; without the change it is allowed.
cases := {
	"limits.over_tier cpu_quota": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/limits/cpu_quota",
			"value": 101,
		},
	},
	"limits.under_floor cpu_quota": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/limits/cpu_quota",
			"value": 4,
		},
	},
	"limits.over_tier mem_quota_mb": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/limits/mem_quota_mb",
			"value": 513,
		},
	},
	"limits.under_floor mem_quota_mb": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/limits/mem_quota_mb",
			"value": 15,
		},
	},
	"limits.over_tier disk_quota_mb": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/limits/disk_quota_mb",
			"value": 1025,
		},
	},
	"limits.under_floor disk_quota_mb": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/limits/disk_quota_mb",
			"value": 0,
		},
	},
	"limits.over_tier wallclock_timeout_s": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/limits/wallclock_timeout_s",
			"value": 301,
		},
		"also": [
			"lease.shorter_than_task",
		],
	},
	"limits.under_floor wallclock_timeout_s": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/limits/wallclock_timeout_s",
			"value": 0,
		},
	},
	"limits.over_tier fd_limit": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/limits/fd_limit",
			"value": 1025,
		},
	},
	"limits.under_floor fd_limit": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/limits/fd_limit",
			"value": 15,
		},
	},
	"limits.over_tier pids": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/limits/pids",
			"value": 257,
		},
	},
	"limits.under_floor pids": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/limits/pids",
			"value": 0,
		},
	},
	"limits.over_tier output_mb": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/limits/output_mb",
			"value": 65,
		},
	},
	"limits.under_floor output_mb": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/limits/output_mb",
			"value": 0,
		},
	},
	"limits.over_tier lifted CPU": {
		"base": "daring",
		"change": {
			"op": "replace",
			"path": "/intent/limits/cpu_quota",
			"value": 401,
		},
	},
	"limits.over_tier lifted memory": {
		"base": "daring",
		"change": {
			"op": "replace",
			"path": "/intent/limits/mem_quota_mb",
			"value": 4097,
		},
	},
}

test_denied if testing.failed(cases) == set()

test_denied_whatever_else_is_missing if testing.fragile(cases) == set()

# Each is allowed: the nearest neighbours of what is denied above.
variants := {
	"most cpu_quota": {
		"base": "hello",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/limits/cpu_quota",
				"value": 100,
			},
			{
				"op": "replace",
				"path": "/facts/lease/ttl_s",
				"value": 600,
			},
		],
	},
	"least cpu_quota": {
		"base": "hello",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/limits/cpu_quota",
				"value": 5,
			},
		],
	},
	"most mem_quota_mb": {
		"base": "hello",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/limits/mem_quota_mb",
				"value": 512,
			},
			{
				"op": "replace",
				"path": "/facts/lease/ttl_s",
				"value": 600,
			},
		],
	},
	"least mem_quota_mb": {
		"base": "hello",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/limits/mem_quota_mb",
				"value": 16,
			},
		],
	},
	"most disk_quota_mb": {
		"base": "hello",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/limits/disk_quota_mb",
				"value": 1024,
			},
			{
				"op": "replace",
				"path": "/facts/lease/ttl_s",
				"value": 600,
			},
		],
	},
	"least disk_quota_mb": {
		"base": "hello",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/limits/disk_quota_mb",
				"value": 1,
			},
		],
	},
	"most wallclock_timeout_s": {
		"base": "hello",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/limits/wallclock_timeout_s",
				"value": 300,
			},
			{
				"op": "replace",
				"path": "/facts/lease/ttl_s",
				"value": 600,
			},
		],
	},
	"least wallclock_timeout_s": {
		"base": "hello",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/limits/wallclock_timeout_s",
				"value": 1,
			},
		],
	},
	"most fd_limit": {
		"base": "hello",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/limits/fd_limit",
				"value": 1024,
			},
			{
				"op": "replace",
				"path": "/facts/lease/ttl_s",
				"value": 600,
			},
		],
	},
	"least fd_limit": {
		"base": "hello",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/limits/fd_limit",
				"value": 16,
			},
		],
	},
	"most pids": {
		"base": "hello",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/limits/pids",
				"value": 256,
			},
			{
				"op": "replace",
				"path": "/facts/lease/ttl_s",
				"value": 600,
			},
		],
	},
	"least pids": {
		"base": "hello",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/limits/pids",
				"value": 1,
			},
		],
	},
	"most output_mb": {
		"base": "hello",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/limits/output_mb",
				"value": 64,
			},
			{
				"op": "replace",
				"path": "/facts/lease/ttl_s",
				"value": 600,
			},
		],
	},
	"least output_mb": {
		"base": "hello",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/limits/output_mb",
				"value": 1,
			},
		],
	},
	"lifted CPU": {
		"base": "daring",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/limits/cpu_quota",
				"value": 400,
			},
		],
	},
	"lifted memory": {
		"base": "daring",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/limits/mem_quota_mb",
				"value": 4096,
			},
		],
	},
}

test_allowed if testing.refused(variants) == set()

test_what_is_asked_is_granted if {
	testing.decide(testing.bases.hello).obligations.limits == testing.bases.hello.intent.limits
}

test_more_than_the_tier_is_cut_to_the_floor if {
	limits.granted == limits.floor with input as json.patch(testing.bases.hello, [{
		"op": "replace",
		"path": "/intent/limits/pids",
		"value": 1000,
	}])
	limits.granted == limits.floor with input as json.patch(testing.bases.hello, [{
		"op": "replace",
		"path": "/intent/limits/pids",
		"value": 0,
	}])
}
