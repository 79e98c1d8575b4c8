# METADATA
# title: Paths
# description: |
#   Paths that name one file: files put in, patched and handed back, working directories. Globs: `*` matches within one
#   segment, `**` across segments; the denylist wins over the allowlist. Only plain spellings are accepted, so that a
#   path means the same here, on the host and in the guest: absolute, of ASCII letters, digits and
#   `_ @ % + = : , ~ # . -`, without `//`, `.` or `..` segments, or a slash at the end, and without `%` before two hex
#   digits, which some program would take for `.` or `/`. The denylist holds in any case of letters: the guest tells
#   `.SSH` from `.ssh`, but a patch or a result may go on to a file system that does not.
package cordon.rules.paths

import data.cordon.reason
import data.cordon.rules.paths.allowlist
import data.cordon.rules.paths.allowlist_with
import data.cordon.rules.paths.denylist

# METADATA
# description: Each path named, with the use it is named for; the empty path, which is refused, where one is missing.
named := array.flatten([
	[{"use": "file", "path": object.get(file, "path", "")} | some file in input.intent.files],
	[{"use": "patch", "path": path} | some path in input.intent.patch.paths],
	[{"use": "collect", "path": path} | some path in input.intent.collect],
	[{"use": "cwd", "path": object.get(command, "cwd", "")} | some command in input.intent.commands],
])

# METADATA
# title: The path is not spelled plainly
# custom:
#   short_name: not_plain
#   remedy: "Write it absolute, in ASCII letters, digits and _ @ % + = : , ~ # . -, without //, . or .. segments or %2e."
deny contains reason.from(rego.metadata.chain(), [entry.path]) if {
	some entry in named
	not plain(entry.path)
}

# METADATA
# description: True for an absolute path in the one spelling that is accepted.
plain(path) if {
	regex.match(data.cordon.rules.paths.plain_pattern, path)
	regex.match(data.cordon.rules.paths.encoded_pattern, path) == false # not `not`: a broken pattern must deny
}

# METADATA
# title: The path lies outside what may be used so
# custom:
#   short_name: not_allowed
#   remedy: Use a path below /workspace (to work in, with fs:write_tmp, also below /tmp).
deny contains reason.from(rego.metadata.chain(), [entry.use, entry.path]) if {
	some entry in named
	not allowed(entry)
}

allowed(entry) if {
	some pattern in allowlist[entry.use]
	glob.match(pattern, ["/"], entry.path)
}

allowed(entry) if {
	some token in input.intent.capabilities
	some pattern in allowlist_with[token][entry.use]
	glob.match(pattern, ["/"], entry.path)
}

# METADATA
# title: The path is on the denylist
# custom:
#   short_name: denied
#   remedy: Leave the path out; no capability opens it.
deny contains reason.from(rego.metadata.chain(), [entry.path]) if {
	some entry in named
	denied(entry.path)
}

# METADATA
# description: |
#   True for a path, or a glob taken as a path, that the denylist covers, in any case of letters: its entries are
#   written in small letters.
denied(path) if glob.match(denied_glob, ["/"], lower(path))

# METADATA
# description: |
#   The whole denylist as alternatives of one glob. One match costs what one of its entries would; that it means the
#   same as the entries one by one is tested.
denied_glob := concat("", ["{", concat(",", denylist), "}"])

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
deny contains reason.from(rego.metadata.chain(), [reason.field(file, "path")]) if {
	some file in input.intent.files
	not ordinary(file)
}

ordinary(file) if file.mode <= 511
