# METADATA
# title: The reason tree
# description: The same judgement, concern by concern, for people who ask why (`cordon decide`).
package cordon.explain

# METADATA
# title: Reason tree
# description: What each concern says, passed or not.
tree contains {"concern": name, "passed": count(denials) == 0, "reasons": denials} if {
	some name
	denials := data.cordon.rules[name].deny
}
