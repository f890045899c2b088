package agent_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
)

// Renew takes another secret and nothing else, and reads once for all calls that were refused.
func TestClientSecretRenew(t *testing.T) {
	reads, now, unreadable := 0, agent.NewSecret("old"), error(nil)
	c := agent.NewClientSecret(agent.NewSecret("old"), func() (agent.Secret, error) {
		reads++
		return now, unreadable
	})
	renew := func(refused string, renewed bool, current string, want int) {
		t.Helper()
		ok, err := c.Renew(agent.NewSecret(refused))
		if ok != renewed || !errors.Is(err, unreadable) || c.Current().Reveal() != current || reads != want {
			t.Errorf("%v, %v; current %q, %d reads; want %v, %q, %d", ok, err, c.Current().Reveal(), reads, renewed, current, want)
		}
	}
	renew("old", false, "old", 1)
	now = agent.Secret{}
	renew("old", false, "old", 2)
	now, unreadable = agent.NewSecret("new"), errors.New("no such file")
	renew("old", false, "old", 3)
	unreadable = nil
	renew("old", true, "new", 4)
	renew("old", true, "new", 4) // another call that had the old one
	renew("new", false, "new", 5)
	if text := fmt.Sprintf("%v %+v %#v %+v", c, c, c, agent.Environment{ClientSecret: c}); strings.Contains(text, "old") || strings.Contains(text, "new") {
		t.Errorf("printed: %s", text)
	}
}

// An app client without a secret, and a secret that cannot change, have nothing to renew.
func TestClientSecretIsFixed(t *testing.T) {
	var none *agent.ClientSecret
	fixed := agent.NewClientSecret(agent.NewSecret("s"), nil)
	for _, c := range []*agent.ClientSecret{none, fixed} {
		if ok, err := c.Renew(c.Current()); ok || err != nil {
			t.Errorf("%v, %v", ok, err)
		}
	}
	if !none.Current().IsZero() || fixed.Current().Reveal() != "s" {
		t.Error("not the secret that it was made of")
	}
}
