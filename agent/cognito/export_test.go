package cognito

import (
	"maps"
	"slices"

	"github.com/legaltalent/kyc-agent/agent"
)

// KeysForTest returns all keys of the mapping tables: codes, and code/reason.
func KeysForTest() []string {
	all := map[string]bool{}
	for _, p := range []mappingTable{defaultMapping, signInMapping, answerMapping, refreshMapping, revokeMapping} {
		for _, m := range p {
			all[m.key] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// SecretHashForTest is SECRET_HASH.
func SecretHashForTest(env agent.Environment, user string) string {
	return (&operation{env: env}).secretHash(user)
}
