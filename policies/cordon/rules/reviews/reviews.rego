# METADATA
# title: Reviews
# description: Who must have looked and said yes - cp14 always, cp18 when something is patched, a human in production.
package cordon.rules.reviews

import data.cordon.reason
import data.cordon.rules.risk

# METADATA
# scope: document
# description: The reviewers this request needs.
required contains actor if some actor in data.cordon.rules.reviews.required_in[input.intent.phase]

required contains actor if {
	input.intent.patch.size > 0
	some actor in data.cordon.rules.reviews.required_for_patch
}

required contains actor if some actor in risk.demanded_reviewers

# METADATA
# description: Reviewers who passed it, by a review that is not their own requester's.
passed contains review.actor if {
	some review in input.facts.reviews
	review.verdict == "PASS"
}

# METADATA
# title: A review that is needed has not passed
# custom:
#   short_name: missing
#   remedy: Have the named reviewer review the intent.
deny contains reason.from(rego.metadata.chain(), required - passed) if not all_passed

all_passed if {
	count(data.cordon.rules.reviews.required_in[input.intent.phase]) > 0
	is_number(input.intent.patch.size)
	every actor in required {
		actor in passed
	}
}

# METADATA
# title: A reviewer whose no is final said no
# custom:
#   short_name: vetoed
#   remedy: Change what the review objects to, and have it reviewed again.
deny contains reason.from(rego.metadata.chain(), [reason.field(review, "actor")]) if {
	some review in input.facts.reviews
	review.actor in data.cordon.rules.reviews.veto
	not harmless(review)
}

# METADATA
# description: True for a review that says no no.
harmless(review) if review.verdict in {"PASS", "ABSTAIN"}

# METADATA
# title: The requester has reviewed its own request
# custom:
#   short_name: self_review
#   remedy: Have someone else review it.
deny contains reason.from(rego.metadata.chain(), [reason.field(review, "actor")]) if {
	some review in input.facts.reviews
	not by_another(review)
}

by_another(review) if {
	review.holder != input.intent.requester
	review.actor != input.intent.requester
}

# METADATA
# title: This reviewer has no say
# custom:
#   short_name: unknown_reviewer
#   remedy: Leave the review out; reviewers are named in reviews/data.yaml.
deny contains reason.from(rego.metadata.chain(), [reason.field(review, "actor")]) if {
	some review in input.facts.reviews
	not review.actor in data.cordon.rules.reviews.reviewers
}

# METADATA
# title: The request holds a secret
# custom:
#   short_name: secret_found
#   remedy: Take the secret out of files, patch, arguments and environment, and consider it known.
deny contains reason.from(rego.metadata.chain(), found(input.facts.secrets_found)) if not free_of_secrets

free_of_secrets if count(input.facts.secrets_found) == 0

# METADATA
# title: The request holds a forbidden pattern
# custom:
#   short_name: forbidden_pattern
#   remedy: Do without it; only the red team's drills in staging may carry such patterns.
deny contains reason.from(rego.metadata.chain(), found(input.facts.forbidden_patterns)) if not patterns_tolerated

patterns_tolerated if count(input.facts.forbidden_patterns) == 0

patterns_tolerated if {
	is_array(input.facts.forbidden_patterns)
	some waiver in data.cordon.rules.reviews.pattern_waivers
	waiver.requester == input.intent.requester
	waiver.phase == input.intent.phase
}

found(findings) := [sprintf("%s at %s", [finding.rule, finding.where]) | some finding in findings]
