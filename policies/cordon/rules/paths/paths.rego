# METADATA
# title: Paths
# description: |
#   Paths that name one file: files put in, patched and handed back, working directories. Globs: `*` matches within one
#   segment, `**` across segments; the denylist wins over the allowlist. Only plain spellings are accepted, so that a
#   path means the same here, on the host and in the guest: absolute, printable ASCII, no `//`, no `.` or `..` segment, no
#   space at either end, none of the glob characters.
package cordon.rules.paths

import data.cordon.reason
import data.cordon.rules.paths.denylist

# METADATA
# description: Each path named, with the use it is named for.
named := array.flatten([
	[{"use": "file", "path": file.path} | some file in input.intent.files],
	[{"use": "patch", "path": path} | some path in input.intent.patch.paths],
	[{"use": "collect", "path": path} | some path in input.intent.collect],
	[{"use": "cwd", "path": command.cwd} | some command in input.intent.commands],
	fields_present,
])

# METADATA
# description: Nothing; undefined when one of the lists above is missing, so that a missing list denies.
fields_present := [] if {
	is_array(input.intent.files)
	is_array(input.intent.patch.paths)
	is_array(input.intent.collect)
	is_array(input.intent.commands)
	every command in input.intent.commands {
		command.cwd != ""
	}
}

# METADATA
# title: The path is not spelled plainly
# custom:
#   short_name: not_plain
#   remedy: Write it absolute, in printable ASCII, without //, . or .. segments, spaces at the ends, or glob characters.
deny contains reason.from(rego.metadata.chain(), twisted) if not all_plain

all_plain if {
	every entry in named {
		plain(entry.path)
	}
}

twisted := [entry.path | some entry in named; not plain(entry.path)]

# METADATA
# description: True for an absolute path in the one spelling that is accepted.
plain(path) if {
	regex.match(`^(/[!"#$%&'()+,.0-9:;<=>@A-Z^_a-z|~-]([ !"#$%&'()+,.0-9:;<=>@A-Z^_a-z|~-]*[!"#$%&'()+,.0-9:;<=>@A-Z^_a-z|~-])?)+$`, path)
	not regex.match(`/\.\.?(/|$)`, path)
}

# METADATA
# title: The path lies outside what may be used so
# custom:
#   short_name: not_allowed
#   remedy: Use a path below /workspace (or below /tmp with fs:write_tmp).
deny contains reason.from(rego.metadata.chain(), outside) if not all_allowed

all_allowed if {
	every entry in named {
		allowed(entry)
	}
}

outside := [sprintf("%s: %s", [entry.use, entry.path]) | some entry in named; not allowed(entry)]

allowed(entry) if {
	some rule in data.cordon.rules.paths.allowlist[entry.use]
	glob.match(rule.glob, ["/"], entry.path)
	rule.needs == ""
}

allowed(entry) if {
	some rule in data.cordon.rules.paths.allowlist[entry.use]
	glob.match(rule.glob, ["/"], entry.path)
	rule.needs in input.intent.capabilities
}

# METADATA
# title: The path is on the denylist
# custom:
#   short_name: denied
#   remedy: Leave the path out; no capability opens it.
deny contains reason.from(rego.metadata.chain(), forbidden) if not none_forbidden

none_forbidden if {
	is_array(named)
	count(forbidden) == 0
}

forbidden := [entry.path |
	some entry in named
	denied(entry.path)
]

# METADATA
# description: True for a path, or a glob taken as a path, that the denylist covers.
denied(path) if {
	some pattern in denylist
	glob.match(pattern, ["/"], path)
}

# METADATA
# title: No file name can be read from the patch
# custom:
#   short_name: patch_unreadable
#   remedy: Send a unified diff with --- and +++ lines that name files.
deny contains reason.from(rego.metadata.chain(), []) if not patch_readable

patch_readable if input.intent.patch.size == 0

patch_readable if count(input.intent.patch.paths) > 0

# METADATA
# title: The file's mode has more than permission bits
# custom:
#   short_name: file_mode
#   remedy: Use a mode of at most 0777; set-user-ID, set-group-ID and sticky files are not put in.
deny contains reason.from(rego.metadata.chain(), special) if not all_ordinary

all_ordinary if {
	every file in input.intent.files {
		file.mode <= 511
	}
}

special := [file.path | some file in input.intent.files; file.mode > 511]
