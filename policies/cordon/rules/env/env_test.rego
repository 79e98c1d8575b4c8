package cordon.rules.env_test

import data.cordon.rules.env
import data.cordon.testing_test as testing

# Each is denied for exactly the code that it begins with; without the change it is allowed.
cases := {
	"env.not_allowed unknown": {
		"base": "env",
		"change": {
			"op": "replace",
			"path": "/intent/env/0/name",
			"value": "FOO",
		},
	},
	"env.not_allowed lower case": {
		"base": "env",
		"change": {
			"op": "replace",
			"path": "/intent/env/0/name",
			"value": "lang",
		},
	},
	"env.not_allowed look-alike": {
		"base": "env",
		"change": {
			"op": "replace",
			"path": "/intent/env/0/name",
			"value": "TASK_\u0410",
		},
	},
	"env.not_allowed equals sign": {
		"base": "env",
		"change": {
			"op": "replace",
			"path": "/intent/env/0/name",
			"value": "TASK_A=B",
		},
	},
	"env.not_allowed newline": {
		"base": "env",
		"change": {
			"op": "replace",
			"path": "/intent/env/0/name",
			"value": "TASK_A\n",
		},
	},
	"env.not_allowed empty": {
		"base": "env",
		"change": {
			"op": "replace",
			"path": "/intent/env/0/name",
			"value": "",
		},
	},
	"env.denied loader": {
		"base": "env",
		"change": {
			"op": "replace",
			"path": "/intent/env/0/name",
			"value": "LD_PRELOAD",
		},
	},
	"env.denied in lower case": {
		"base": "env",
		"change": {
			"op": "replace",
			"path": "/intent/env/0/name",
			"value": "http_proxy",
		},
	},
	"env.control_character": {
		"base": "env",
		"change": {
			"op": "replace",
			"path": "/intent/env/0/control",
			"value": true,
		},
	},
	"env.too_large": {
		"base": "env",
		"change": {
			"op": "replace",
			"path": "/intent/env/0/size",
			"value": 4097,
		},
	},
	"env.too_many": {
		"base": "env",
		"change": {
			"op": "replace",
			"path": "/intent/env",
			"value": [
				{
					"name": "LANG",
					"size": 1,
					"control": false,
				},
				{
					"name": "LANG",
					"size": 1,
					"control": false,
				},
				{
					"name": "LANG",
					"size": 1,
					"control": false,
				},
				{
					"name": "LANG",
					"size": 1,
					"control": false,
				},
				{
					"name": "LANG",
					"size": 1,
					"control": false,
				},
				{
					"name": "LANG",
					"size": 1,
					"control": false,
				},
				{
					"name": "LANG",
					"size": 1,
					"control": false,
				},
				{
					"name": "LANG",
					"size": 1,
					"control": false,
				},
				{
					"name": "LANG",
					"size": 1,
					"control": false,
				},
				{
					"name": "LANG",
					"size": 1,
					"control": false,
				},
				{
					"name": "LANG",
					"size": 1,
					"control": false,
				},
				{
					"name": "LANG",
					"size": 1,
					"control": false,
				},
				{
					"name": "LANG",
					"size": 1,
					"control": false,
				},
				{
					"name": "LANG",
					"size": 1,
					"control": false,
				},
				{
					"name": "LANG",
					"size": 1,
					"control": false,
				},
				{
					"name": "LANG",
					"size": 1,
					"control": false,
				},
				{
					"name": "LANG",
					"size": 1,
					"control": false,
				},
				{
					"name": "LANG",
					"size": 1,
					"control": false,
				},
				{
					"name": "LANG",
					"size": 1,
					"control": false,
				},
				{
					"name": "LANG",
					"size": 1,
					"control": false,
				},
				{
					"name": "LANG",
					"size": 1,
					"control": false,
				},
				{
					"name": "LANG",
					"size": 1,
					"control": false,
				},
				{
					"name": "LANG",
					"size": 1,
					"control": false,
				},
				{
					"name": "LANG",
					"size": 1,
					"control": false,
				},
				{
					"name": "LANG",
					"size": 1,
					"control": false,
				},
				{
					"name": "LANG",
					"size": 1,
					"control": false,
				},
				{
					"name": "LANG",
					"size": 1,
					"control": false,
				},
				{
					"name": "LANG",
					"size": 1,
					"control": false,
				},
				{
					"name": "LANG",
					"size": 1,
					"control": false,
				},
				{
					"name": "LANG",
					"size": 1,
					"control": false,
				},
				{
					"name": "LANG",
					"size": 1,
					"control": false,
				},
				{
					"name": "LANG",
					"size": 1,
					"control": false,
				},
				{
					"name": "LANG",
					"size": 1,
					"control": false,
				},
			],
		},
	},
}

test_denied if testing.failed(cases) == set()

test_denied_whatever_else_is_missing if testing.fragile(cases) == set()

# Each is allowed: the nearest neighbours of what is denied above.
variants := {
	"largest value": {
		"base": "env",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/env/0/size",
				"value": 4096,
			},
		],
	},
	"most variables": {
		"base": "env",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/env",
				"value": [
					{
						"name": "LANG",
						"size": 1,
						"control": false,
					},
					{
						"name": "LANG",
						"size": 1,
						"control": false,
					},
					{
						"name": "LANG",
						"size": 1,
						"control": false,
					},
					{
						"name": "LANG",
						"size": 1,
						"control": false,
					},
					{
						"name": "LANG",
						"size": 1,
						"control": false,
					},
					{
						"name": "LANG",
						"size": 1,
						"control": false,
					},
					{
						"name": "LANG",
						"size": 1,
						"control": false,
					},
					{
						"name": "LANG",
						"size": 1,
						"control": false,
					},
					{
						"name": "LANG",
						"size": 1,
						"control": false,
					},
					{
						"name": "LANG",
						"size": 1,
						"control": false,
					},
					{
						"name": "LANG",
						"size": 1,
						"control": false,
					},
					{
						"name": "LANG",
						"size": 1,
						"control": false,
					},
					{
						"name": "LANG",
						"size": 1,
						"control": false,
					},
					{
						"name": "LANG",
						"size": 1,
						"control": false,
					},
					{
						"name": "LANG",
						"size": 1,
						"control": false,
					},
					{
						"name": "LANG",
						"size": 1,
						"control": false,
					},
					{
						"name": "LANG",
						"size": 1,
						"control": false,
					},
					{
						"name": "LANG",
						"size": 1,
						"control": false,
					},
					{
						"name": "LANG",
						"size": 1,
						"control": false,
					},
					{
						"name": "LANG",
						"size": 1,
						"control": false,
					},
					{
						"name": "LANG",
						"size": 1,
						"control": false,
					},
					{
						"name": "LANG",
						"size": 1,
						"control": false,
					},
					{
						"name": "LANG",
						"size": 1,
						"control": false,
					},
					{
						"name": "LANG",
						"size": 1,
						"control": false,
					},
					{
						"name": "LANG",
						"size": 1,
						"control": false,
					},
					{
						"name": "LANG",
						"size": 1,
						"control": false,
					},
					{
						"name": "LANG",
						"size": 1,
						"control": false,
					},
					{
						"name": "LANG",
						"size": 1,
						"control": false,
					},
					{
						"name": "LANG",
						"size": 1,
						"control": false,
					},
					{
						"name": "LANG",
						"size": 1,
						"control": false,
					},
					{
						"name": "LANG",
						"size": 1,
						"control": false,
					},
					{
						"name": "LANG",
						"size": 1,
						"control": false,
					},
				],
			},
		],
	},
}

test_allowed if testing.refused(variants) == set()

# What each entry is there for, written out a second time.
allowed_examples := {
	"LANG": "LANG",
	"LANGUAGE": "LANGUAGE",
	"LC_*": "LC_ALL",
	"TZ": "TZ",
	"TERM": "TERM",
	"COLUMNS": "COLUMNS",
	"LINES": "LINES",
	"CFLAGS": "CFLAGS",
	"CXXFLAGS": "CXXFLAGS",
	"LDFLAGS": "LDFLAGS",
	"MAKEFLAGS": "MAKEFLAGS",
	"SOURCE_DATE_EPOCH": "SOURCE_DATE_EPOCH",
	"PYTHONUNBUFFERED": "PYTHONUNBUFFERED",
	"PYTHONDONTWRITEBYTECODE": "PYTHONDONTWRITEBYTECODE",
	"PYTHONHASHSEED": "PYTHONHASHSEED",
	"TASK_*": "TASK_A1",
}

denied_examples := {
	"LD_*": "LD_PRELOAD",
	"GLIBC_TUNABLES": "GLIBC_TUNABLES",
	"MALLOC_*": "MALLOC_ARENA_MAX",
	"GCONV_PATH": "GCONV_PATH",
	"NLSPATH": "NLSPATH",
	"LOCPATH": "LOCPATH",
	"HOSTALIASES": "HOSTALIASES",
	"RESOLV_HOST_CONF": "RESOLV_HOST_CONF",
	"RES_OPTIONS": "RES_OPTIONS",
	"PATH": "PATH",
	"HOME": "HOME",
	"SHELL": "SHELL",
	"IFS": "IFS",
	"ENV": "ENV",
	"BASH_ENV": "BASH_ENV",
	"BASH_FUNC_*": "BASH_FUNC_A%%",
	"PS4": "PS4",
	"SHELLOPTS": "SHELLOPTS",
	"BASHOPTS": "BASHOPTS",
	"CDPATH": "CDPATH",
	"PYTHONPATH": "PYTHONPATH",
	"PYTHONHOME": "PYTHONHOME",
	"PYTHONSTARTUP": "PYTHONSTARTUP",
	"PYTHONINSPECT": "PYTHONINSPECT",
	"PYTHONEXECUTABLE": "PYTHONEXECUTABLE",
	"PYTHONUSERBASE": "PYTHONUSERBASE",
	"PYTHONPLATLIBDIR": "PYTHONPLATLIBDIR",
	"PYTHONBREAKPOINT": "PYTHONBREAKPOINT",
	"PERL*": "PERL5LIB",
	"RUBY*": "RUBYOPT",
	"NODE_*": "NODE_OPTIONS",
	"JAVA_*": "JAVA_TOOL_OPTIONS",
	"_JAVA_OPTIONS": "_JAVA_OPTIONS",
	"GIT_*": "GIT_SSH_COMMAND",
	"EDITOR": "EDITOR",
	"VISUAL": "VISUAL",
	"PAGER": "PAGER",
	"GCC_*": "GCC_EXEC_PREFIX",
	"COMPILER_PATH": "COMPILER_PATH",
	"LIBRARY_PATH": "LIBRARY_PATH",
	"CPATH": "CPATH",
	"*_PROXY": "HTTP_PROXY",
}

test_every_allowed_name_is_granted if {
	{entry | some entry in env.allowlist} == object.keys(allowed_examples)
	every name in allowed_examples {
		granted(name) == {name}
	}
}

test_every_denied_name_is_denied if {
	{entry | some entry in env.denylist} == object.keys(denied_examples)
	every name in denied_examples {
		env.denied(name)
	}
}

test_no_entry_denies_what_another_is_there_for if {
	every entry, name in denied_examples {
		[other | some other in env.denylist; glob.match(other, [], name)] == [entry]
	}
}

test_the_denylist_wins if {
	granted("LANG") == set() with env.denylist as ["LANG"]
}

granted(name) := names if {
	names := env.granted with input as json.patch(testing.bases.env, [{
		"op": "replace",
		"path": "/intent/env/0/name",
		"value": name,
	}])
}
