package cordon.rules.paths_test

import data.cordon.rules.paths
import data.cordon.rules.paths.denylist
import data.cordon.testing_test as testing

# Each is denied for exactly the code that it begins with; without the change it is allowed.
cases := {
	"paths.not_plain double slash": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/commands/0/cwd",
			"value": "/workspace//a",
		},
	},
	"paths.not_plain up": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/commands/0/cwd",
			"value": "/workspace/../workspace/a",
		},
	},
	"paths.not_plain up at the end": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/commands/0/cwd",
			"value": "/workspace/..",
		},
	},
	"paths.not_plain here": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/commands/0/cwd",
			"value": "/workspace/./a",
		},
	},
	"paths.not_plain slash at the end": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/commands/0/cwd",
			"value": "/workspace/a/",
		},
	},
	"paths.not_plain space at the end": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/commands/0/cwd",
			"value": "/workspace/a ",
		},
	},
	"paths.not_plain look-alike": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/commands/0/cwd",
			"value": "/workspace/\u0430",
		},
	},
	"paths.not_plain look-alike slash": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/commands/0/cwd",
			"value": "/workspace/..\u2215etc",
		},
	},
	"paths.not_plain NUL": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/commands/0/cwd",
			"value": "/workspace/a\u0000b",
		},
	},
	"paths.not_plain newline": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/commands/0/cwd",
			"value": "/workspace/a\n",
		},
	},
	"paths.not_plain star": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/commands/0/cwd",
			"value": "/workspace/*",
		},
	},
	"paths.not_plain braces": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/commands/0/cwd",
			"value": "/workspace/{a,b}",
		},
	},
	"paths.not_plain backslash": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/commands/0/cwd",
			"value": "/workspace/a\\b",
		},
	},
	"paths.not_plain file": {
		"base": "file",
		"change": {
			"op": "replace",
			"path": "/intent/files/0/path",
			"value": "/workspace/../workspace/x",
		},
	},
	"paths.not_plain patch": {
		"base": "patch",
		"change": {
			"op": "replace",
			"path": "/intent/patch/paths/0",
			"value": "/workspace/../workspace/x",
		},
	},
	"paths.not_plain collect": {
		"base": "hello",
		"change": {
			"op": "add",
			"path": "/intent/collect/-",
			"value": "/workspace/../workspace/x",
		},
	},
	"paths.not_plain relative": {
		"base": "hello",
		"change": {
			"op": "add",
			"path": "/intent/collect/-",
			"value": "workspace/x",
		},
		"also": [
			"paths.not_allowed",
		],
	},
	"paths.not_allowed cwd": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/commands/0/cwd",
			"value": "/srv",
		},
	},
	"paths.not_allowed beside": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/commands/0/cwd",
			"value": "/workspaces",
		},
	},
	"paths.not_allowed cwd in tmp": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/commands/0/cwd",
			"value": "/tmp/a",
		},
	},
	"paths.not_allowed cwd tmp": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/commands/0/cwd",
			"value": "/tmp",
		},
	},
	"paths.not_allowed file": {
		"base": "file",
		"change": {
			"op": "replace",
			"path": "/intent/files/0/path",
			"value": "/tmp/a",
		},
	},
	"paths.not_allowed file elsewhere": {
		"base": "tmp",
		"change": {
			"op": "add",
			"path": "/intent/files/-",
			"value": {
				"path": "/usr/bin/echo",
				"mode": 493,
				"size": 1,
			},
		},
	},
	"paths.not_allowed file in a granted tmp": {
		"base": "tmp",
		"change": {
			"op": "add",
			"path": "/intent/files/-",
			"value": {
				"path": "/tmp/a",
				"mode": 420,
				"size": 1,
			},
		},
	},
	"paths.not_allowed collected from a granted tmp": {
		"base": "tmp",
		"change": {
			"op": "add",
			"path": "/intent/collect/-",
			"value": "/tmp/a",
		},
	},
	"paths.not_allowed patch": {
		"base": "patch",
		"change": {
			"op": "replace",
			"path": "/intent/patch/paths/0",
			"value": "/tmp/a",
		},
	},
	"paths.not_allowed collect": {
		"base": "hello",
		"change": {
			"op": "add",
			"path": "/intent/collect/-",
			"value": "/tmp/a",
		},
	},
	"paths.not_allowed the root": {
		"base": "hello",
		"change": {
			"op": "add",
			"path": "/intent/collect/-",
			"value": "/",
		},
	},
	"paths.denied cwd": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/commands/0/cwd",
			"value": "/workspace/.ssh/a",
		},
	},
	"paths.denied file": {
		"base": "file",
		"change": {
			"op": "replace",
			"path": "/intent/files/0/path",
			"value": "/workspace/a/.netrc",
		},
	},
	"paths.denied patch": {
		"base": "patch",
		"change": {
			"op": "replace",
			"path": "/intent/patch/paths/0",
			"value": "/workspace/.git/config",
		},
	},
	"paths.denied collect": {
		"base": "hello",
		"change": {
			"op": "add",
			"path": "/intent/collect/-",
			"value": "/workspace/key.pem",
		},
	},
	"paths.patch_unreadable": {
		"base": "patch",
		"change": {
			"op": "replace",
			"path": "/intent/patch/paths",
			"value": [],
		},
	},
	"paths.file_mode": {
		"base": "file",
		"change": {
			"op": "replace",
			"path": "/intent/files/0/mode",
			"value": 512,
		},
	},
}

test_denied if testing.failed(cases) == set()

test_denied_whatever_else_is_missing if testing.fragile(cases) == set()

# Each is allowed: the nearest neighbours of what is denied above.
variants := {
	"root as working directory": {
		"base": "hello",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/commands/0/cwd",
				"value": "/",
			},
		],
	},
	"below the workspace": {
		"base": "hello",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/commands/0/cwd",
				"value": "/workspace/a/b",
			},
		],
	},
	"tmp": {
		"base": "tmp",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/commands/0/cwd",
				"value": "/tmp",
			},
		],
	},
	"below tmp": {
		"base": "tmp",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/commands/0/cwd",
				"value": "/tmp/a",
			},
		],
	},
	"dots that mean nothing": {
		"base": "hello",
		"changes": [
			{
				"op": "add",
				"path": "/intent/collect/-",
				"value": "/workspace/...a/..b/.c/d..",
			},
		],
	},
	"all modes": {
		"base": "file",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/files/0/mode",
				"value": 511,
			},
		],
	},
	"every plain character": {
		"base": "hello",
		"changes": [
			{
				"op": "add",
				"path": "/intent/collect/-",
				"value": "/workspace/aZ09_@%+=:,~#.-",
			},
		],
	},
}

test_allowed if testing.refused(variants) == set()

# What each entry of the denylist is there for, written out a second time.
examples := {
	"/root": "/root",
	"/root/**": "/root/a/b",
	"/boot": "/boot",
	"/boot/**": "/boot/vmlinuz",
	"/etc/shadow*": "/etc/shadow-",
	"/etc/gshadow*": "/etc/gshadow",
	"/etc/sudoers": "/etc/sudoers",
	"/etc/sudoers.d/**": "/etc/sudoers.d/x",
	"/etc/ssh/**": "/etc/ssh/sshd_config",
	"/proc/kcore": "/proc/kcore",
	"/proc/kallsyms": "/proc/kallsyms",
	"/proc/kmsg": "/proc/kmsg",
	"/proc/keys": "/proc/keys",
	"/proc/sys/**": "/proc/sys/kernel/core_pattern",
	"/proc/sysrq-trigger": "/proc/sysrq-trigger",
	"/sys/firmware/**": "/sys/firmware/x",
	"/sys/kernel/**": "/sys/kernel/debug/x",
	"/sys/fs/bpf/**": "/sys/fs/bpf/x",
	"/dev/mem": "/dev/mem",
	"/dev/kmem": "/dev/kmem",
	"/dev/port": "/dev/port",
	"/dev/kvm": "/dev/kvm",
	"/dev/vport*": "/dev/vport0p1",
	"/dev/virtio-ports/**": "/dev/virtio-ports/org",
	"/run/cordon/**": "/run/cordon/s",
	"**/.ssh/**": "/workspace/.ssh/known",
	"**/.aws/**": "/workspace/.aws/x",
	"**/.gnupg/**": "/workspace/.gnupg/x",
	"**/.git/hooks/**": "/workspace/.git/hooks/pre-commit",
	"**/.git/config": "/workspace/.git/config",
	"**/.git/config.worktree": "/workspace/.git/config.worktree",
	"**/.netrc": "/workspace/.netrc",
	"**/*.pem": "/workspace/a.pem",
	"**/id_rsa*": "/workspace/id_rsa.pub",
	"**/id_ed25519*": "/workspace/id_ed25519",
}

test_every_entry_denies_its_example if {
	{entry | some entry in denylist} == object.keys(examples)
	every entry, example in examples {
		paths.denied(example)
		glob.match(entry, ["/"], example)
	}
}

test_no_entry_denies_what_another_is_there_for if {
	every entry, example in examples {
		[other | some other in denylist; glob.match(other, ["/"], example)] == [entry]
	}
}

# Beside each kind of entry: one segment more or less, another name, the same name elsewhere.
test_nothing_else_is_denied if {
	every path in {
		"/roots", "/rooted/a", "/etc/passwd", "/etc/shadow/a", "/etc/sudoersx", "/etc/ssh", "/proc/kcorex", "/proc/1/sys/a",
		"/dev/memory",
		"/dev/vport/a", "/workspace/.sshx/a", "/workspace/.ssh", "/workspace/.git/hooks", "/workspace/a.pem/b", "/workspace/pem",
		"/workspace/.git/configs", "/workspace/netrc", "/workspace/xid_rsa", "/sys/fs/cgroup/a",
	} {
		not paths.denied(path)
	}
}
