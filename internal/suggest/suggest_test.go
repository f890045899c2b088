package suggest

import (
	"strings"
	"testing"
)

func TestEnvironments(t *testing.T) {
	names := []string{"prod", "staging"}
	if got := Environments("stagng", names); got != "did you mean staging? configured are: prod, staging" {
		t.Error(got)
	}
	if got := Environments("login", names); got != "did you mean kyc-agentd login? configured are: prod, staging" {
		t.Error(got)
	}
	if got := Environments("login", append(names, "logins")); got != "did you mean logins? configured are: prod, staging, logins" {
		t.Error(got)
	}
	if got := Environments("moon", names); got != "configured are: prod, staging" {
		t.Error(got)
	}
}

func TestClosest(t *testing.T) {
	environments := "dev prod prod-eu qa staging uat"
	tests := []struct{ names, typed, want string }{
		{environments, "stagng", "staging"},
		{environments, "stagign", "staging"}, // two letters swapped are one slip
		{environments, "prdo", "prod"},
		{environments, "staging2", "staging"},
		{environments, "stages", ""},
		{environments, "Prod", "prod"},
		{environments, "prod-us", "prod-eu"},
		{environments, "aq", ""}, // of two letters each may be another name
		{environments, "", ""},
		{environments, strings.Repeat("x", 1<<20), ""}, // does not take quadratic time
		{"json jsox", "jsoy", ""},                      // as close to both
		{"user lines", "usr", "user"},
		{"", "prod", ""},
	}
	for _, tt := range tests {
		if got := Closest(tt.typed, strings.Fields(tt.names)); got != tt.want {
			t.Errorf("%.20q: %q, want %q", tt.typed, got, tt.want)
		}
	}
}
