package cordon.rules.commands_test

import data.cordon.rules.commands
import data.cordon.rules.commands.groups
import data.cordon.rules.matrix
import data.cordon.testing_test as testing

# Each is denied for exactly the code that it begins with; without the change it is allowed.
cases := {
	"commands.program_path elsewhere": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/commands/0/argv/0",
			"value": "/opt/echo",
		},
	},
	"commands.program_path workspace": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/commands/0/argv/0",
			"value": "./echo",
		},
	},
	"commands.program_path up": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/commands/0/argv/0",
			"value": "/usr/bin/../local/echo",
		},
	},
	"commands.program_path bin up": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/commands/0/argv/0",
			"value": "/bin/x/echo",
		},
	},
	"commands.not_allowed unknown": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/commands/0/argv/0",
			"value": "nc",
		},
	},
	"commands.not_allowed other group": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/commands/0/argv/0",
			"value": "sh",
		},
	},
	"commands.not_allowed second": {
		"base": "hello",
		"change": {
			"op": "add",
			"path": "/intent/commands/-",
			"value": {
				"argv": [
					"nc",
				],
				"cwd": "/workspace",
			},
		},
	},
	"commands.capability_missing": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/commands/0/argv/0",
			"value": "python3",
		},
	},
	"commands.nul_byte": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/commands/0/argv/1",
			"value": "a\u0000b",
		},
	},
}

test_denied if testing.failed(cases) == set()

test_denied_whatever_else_is_missing if testing.fragile(cases) == set()

# Each is allowed: the nearest neighbours of what is denied above.
variants := {
	"by /usr/bin": {
		"base": "hello",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/commands/0/argv/0",
				"value": "/usr/bin/echo",
			},
		],
	},
	"by /bin": {
		"base": "hello",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/commands/0/argv/0",
				"value": "/bin/echo",
			},
		],
	},
	"with its capability": {
		"base": "python",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/commands/0/argv/0",
				"value": "python3",
			},
		],
	},
	"without arguments": {
		"base": "hello",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/commands/0/argv",
				"value": [
					"true",
				],
			},
		],
	},
}

test_allowed if testing.refused(variants) == set()

# Who may start what, written out a second time: a change of the list has to be meant.
programs := {
	"coreutils": [
		"basename",
		"cat",
		"cksum",
		"comm",
		"cp",
		"cut",
		"date",
		"dd",
		"df",
		"dirname",
		"du",
		"echo",
		"expand",
		"expr",
		"false",
		"fold",
		"head",
		"hostname",
		"id",
		"install",
		"join",
		"link",
		"ln",
		"ls",
		"md5sum",
		"mkdir",
		"mkfifo",
		"mktemp",
		"mv",
		"nl",
		"nproc",
		"od",
		"paste",
		"printenv",
		"printf",
		"pwd",
		"readlink",
		"realpath",
		"rm",
		"rmdir",
		"seq",
		"sha1sum",
		"sha256sum",
		"sha512sum",
		"shuf",
		"sleep",
		"sort",
		"split",
		"stat",
		"sync",
		"tac",
		"tail",
		"tee",
		"test",
		"touch",
		"tr",
		"true",
		"truncate",
		"uname",
		"unexpand",
		"uniq",
		"unlink",
		"wc",
		"whoami",
		"yes",
		"chmod",
		"grep",
		"sed",
		"find",
		"diff",
		"patch",
	],
	"launcher": [
		"env",
		"nice",
		"nohup",
		"setsid",
		"timeout",
		"xargs",
		"stdbuf",
	],
	"shell": [
		"sh",
		"dash",
		"bash",
	],
	"python": [
		"python3",
	],
	"compiler": [
		"gcc",
		"g++",
		"cc",
		"c++",
		"make",
		"cmake",
		"as",
		"ld",
		"ar",
	],
	"debugger": [
		"gdb",
		"strace",
		"ltrace",
	],
}

capability_of := {
	"coreutils": "base:execute",
	"launcher": "base:execute",
	"shell": "base:execute",
	"python": "dev:python",
	"compiler": "dev:compiler",
	"debugger": "sys:ptrace",
}

test_every_program_is_granted_by_its_group_alone if {
	object.keys(groups) == object.keys(programs)
	every group, names in programs {
		every name in names {
			given(name, [group]) == {name}
			given(name, object.keys(programs) - {group}) == set()
		}
	}
}

test_no_other_program_is_listed if {
	every group, names in programs {
		{name | some name in groups[group].names} == {name | some name in names}
	}
}

test_every_group_needs_its_capability if {
	every group, names in programs {
		needed := capability_of[group]
		tokens := [token | some token in object.keys(matrix.capabilities); token != needed]
		count(commands.granted) == 0 with input as asking(names[0], tokens) with matrix.rows as row([group])
	}
}

given(name, lists) := names if {
	names := commands.granted with input as asking(name, object.keys(matrix.capabilities) - {"dev:gpu"})
		with matrix.rows as row(lists)
}

asking(name, tokens) := json.patch(testing.bases.hello, [
	{"op": "replace", "path": "/intent/commands/0/argv/0", "value": name},
	{"op": "replace", "path": "/intent/capabilities", "value": [token | some token in tokens]},
])

row(lists) := {"cbo": {"none": {"staging": {
	"capabilities": [token | some token in object.keys(matrix.capabilities)],
	"programs": [name | some name in lists],
}}}}
