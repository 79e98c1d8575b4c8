# METADATA
# title: Reasons
# description: Words a denial from the annotations of its rule, so that message and remedy live beside the rule.
package cordon.reason

# METADATA
# description: |
#   The reason of the rule whose `rego.metadata.chain()` is given. `details` are the offending values, shortened and
#   quoted, because they come from the requester.
from(chain, details) := {
	"code": concat(".", [chain[0].path[count(chain[0].path) - 2], chain[0].annotations.custom.short_name]),
	"msg": concat(": ", [text |
		some text in [chain[0].annotations.title, listed(details)]
		text != ""
	]),
	"remedy": chain[0].annotations.custom.remedy,
}

# METADATA
# description: At most five values, each quoted and cut at 80 characters; empty when there are none.
listed(details) := concat(", ", array.concat(shown, more)) if {
	quoted := [sprintf("%q", [substring(sprintf("%v", [detail]), 0, 80)]) | some detail in details]
	shown := array.slice(quoted, 0, 5)
	more := [sprintf("and %d more", [count(quoted) - 5]) | count(quoted) > 5]
}

# METADATA
# description: A field for a message; a denial whose message names a field must not go away with the field.
field(thing, name) := object.get(thing, name, "(missing)")
