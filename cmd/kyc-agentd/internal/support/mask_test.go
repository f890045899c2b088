package support

import (
	"strings"
	"testing"
)

func TestMask(t *testing.T) {
	newMasker := func() *masker {
		m := &masker{home: "/home/ana"}
		m.add("ana", "", "b.k")
		return m
	}
	for text, want := range map[string]string{
		"signed in as ana, ana (by itself)":                    "signed in as user-1, user-1 (by itself)",
		"banana ana.x ana":                                     "banana user-1.x user-1",
		"user=b.k env=prod":                                    "user=user-2 env=prod",
		`user="eve" then eve`:                                  `user="user-3" then user-3`,
		"to c.d+e@sub.example.com again c.d+e@sub.example.com": "to user-3 again user-3",
		"/home/ana/.config":                                    "~/.config",
		"HTTPS_PROXY=http://u:p@ss@proxy:3128/x":               "HTTPS_PROXY=http://(removed)@proxy:3128/x",
		"got eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln.":       "got (removed)",
		"key AGE-SECRET-KEY-PQ-1QQQ.":                          "key (removed).",
		"sk_live_12345":                                        "(removed)",
		"Authorization: Bearer abcdefgh.ijk":                   "Authorization: (removed)",
		`password = "hunter2"`:                                 `(removed)"`,
		`{"password":"hunter2"}`:                               `{"(removed)"}`,
		"LoadCredential=kyc-prod.password:/srv/a":              "LoadCredential=kyc-prod.password:/srv/a",
		"password_file = '/srv/a'":                             "password_file = '/srv/a'",
	} {
		if got := newMasker().mask(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
	if got := newMasker().mask("a\n-----BEGIN EC PRIVATE KEY-----\nMHc\n-----END EC PRIVATE KEY-----\nb"); strings.Contains(got, "MHc") || !strings.HasSuffix(got, "\nb") {
		t.Errorf("%q", got)
	}
}
