package cognito

import "testing"

func TestNoKeyTwice(t *testing.T) {
	for i, table := range []mappingTable{
		defaultMapping, signInMapping, callbackMapping, exchangeMapping, answerMapping, refreshMapping, globalSignOutMapping,
		forgotPasswordMapping, resetPasswordMapping, confirmMapping, resendMapping, changePasswordMapping,
	} {
		seen := map[string]bool{}
		for _, m := range table {
			if seen[m.key] {
				t.Errorf("table %d has %s twice", i, m.key)
			}
			seen[m.key] = true
		}
	}
}
