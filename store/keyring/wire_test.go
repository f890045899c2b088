package keyring

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/legaltalent/kyc-agent/store"
)

func FuzzParseRequest(f *testing.F) {
	for _, seed := range []string{
		`{"op":"get","key":"prod","ready":1,"limit":2}`,
		`{"op":"put","key":"prod","value":"AAEC","prompt":true,"ready":3000000000,"limit":120000000000}`,
		`{"op":"keys","ready":1,"limit":1}`, `{"op":"delete","key":"../x","ready":1,"limit":1}`, `[]`, `{} {}`, "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := parseRequest(bytes.NewReader(data))
		if err != nil {
			return
		}
		if r.Op != opKeys && !store.ValidKey(r.Key) || r.Limit < r.Ready || r.Ready <= 0 || len(r.Value) > maxValue {
			t.Fatalf("accepted %+v", r)
		}
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		back, err := parseRequest(bytes.NewReader(again))
		if len(r.Value) == 0 {
			r.Value = nil // on the wire there is no difference between an empty value and none
		}
		if err != nil || !reflect.DeepEqual(back, r) {
			t.Fatalf("%+v became %+v, %v", r, back, err)
		}
	})
}

func FuzzParseAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"code":"ok","value":"AAEC"}`, `{"code":"ok","keys":["a","b"]}`, `{"code":"ok","keys":["b","a","a"]}`,
		`{"code":"failed","detail":"x\u0000\n\u2028y"}`, `{"code":"ok"}{}`, `null`, "",
	} {
		for _, op := range []string{opGet, opPut, opKeys} {
			f.Add(op, []byte(seed))
		}
	}
	f.Fuzz(func(t *testing.T, op string, data []byte) {
		a, err := parseAnswer(op, data)
		if err != nil {
			return
		}
		for i, k := range a.Keys {
			if !store.ValidKey(k) || i > 0 && a.Keys[i-1] >= k {
				t.Fatalf("accepted keys %q", a.Keys)
			}
		}
		if a.Code != codeOK && (a.Value != nil || a.Keys != nil) || len(a.Value) > maxValue {
			t.Fatalf("accepted %+v", a)
		}
		if err := a.err(request{Op: op, Key: "prod"}); (err == nil) != (a.Code == codeOK) {
			t.Fatalf("code %q became error %v", a.Code, err)
		}
		if bad := strings.IndexFunc(a.Detail, func(r rune) bool { return !unicode.IsPrint(r) && r != '\u200c' && r != '\u200d' }); bad >= 0 || utf8.RuneCountInString(a.Detail) > maxDetail+1 {
			t.Fatalf("detail %q", a.Detail)
		}
	})
}

// What the keyring said stands in the middle of a message.
func TestDetailIsOneShortLine(t *testing.T) {
	for in, want := range map[string]string{
		"":                             "",
		"plain":                        "plain",
		" two\r\n lines\t":             "two lines",
		"bell\a, esc\x1b[31m":          "bell?, esc?[31m",
		"\xff":                         "?",
		strings.Repeat("ä", 200):       strings.Repeat("ä", 200),
		strings.Repeat("ä", 300):       strings.Repeat("ä", 200) + "…",
		"x" + strings.Repeat("ä", 300): "x" + strings.Repeat("ä", 199) + "…",
	} {
		data, err := json.Marshal(answer{Code: codeFailed, Detail: in})
		if err != nil {
			t.Fatal(err)
		}
		got, err := parseAnswer(opGet, data)
		if err != nil || got.Detail != want || !utf8.ValidString(got.Detail) {
			t.Errorf("%q gives %q, %v; want %q", in, got.Detail, err, want)
		}
		if sent := answerFor(errors.New(in)); sent.Detail != want {
			t.Errorf("%q is sent as %q, want %q", in, sent.Detail, want)
		}
	}
}

func TestBusAddress(t *testing.T) {
	dir := socketDir(t)
	for _, c := range []struct{ address, runtimeDir, want string }{
		{"unix:path=/x", dir, "unix:path=/x"},
		{"disabled:", dir, "disabled:"},
		{"", dir, "unix:path=" + escapeAddress(dir) + "/bus"},
		{"autolaunch:", dir, "unix:path=" + escapeAddress(dir) + "/bus"},
		{"autolaunch:scope=*install-path", dir, "unix:path=" + escapeAddress(dir) + "/bus"},
		{"", t.TempDir(), noBus},
		{"autolaunch:", t.TempDir(), noBus},
	} {
		got := busAddress(func(name string) string {
			return map[string]string{"DBUS_SESSION_BUS_ADDRESS": c.address, "XDG_RUNTIME_DIR": c.runtimeDir}[name]
		})
		if got != c.want {
			t.Errorf("busAddress(%q, %q) = %q, want %q", c.address, c.runtimeDir, got, c.want)
		}
	}
}

func TestEscapeAddress(t *testing.T) {
	if got, want := escapeAddress("/run/a b,c;ä=%/bus"), "/run/a%20b%2cc%3b%c3%a4%3d%25/bus"; got != want {
		t.Errorf("escapeAddress = %q, want %q", got, want)
	}
}
