package origin

import (
	"net/url"
	"strings"
	"testing"
)

var rows = []struct {
	raw  string
	want string // the origin; or the reason why there is none
}{
	{"https://kyc.legaltalent.ai", "https://kyc.legaltalent.ai"},
	{"https://kyc.legaltalent.ai:443/a/@b?c=d@e#f", "https://kyc.legaltalent.ai"},
	{"https://kyc.legaltalent.ai?https://evil.example", "https://kyc.legaltalent.ai"},
	{"https://kyc.legaltalent.ai/\u00fc", "https://kyc.legaltalent.ai"},
	{"HTTPS://KYC.LegalTalent.AI:8443/x", "https://kyc.legaltalent.ai:8443"},
	{"https://kyc.legaltalent.ai:80", "https://kyc.legaltalent.ai:80"},
	{"https://xn--kyc-hoa.example", "https://xn--kyc-hoa.example"},
	{"https://a_b-c.example", "https://a_b-c.example"},
	{"https://10.0.0.7:1", "https://10.0.0.7:1"},
	{"https://127.1", "https://127.1"}, // another host for a comparison, whatever it is for a resolver
	{"http://localhost:65535", "http://localhost:65535"},
	{"http://127.0.0.1:80/", "http://127.0.0.1"},
	{"http://127.0.0.1:443", "http://127.0.0.1:443"},
	{"https://[::1]", "https://[::1]"},
	{"https://[::1]:443/", "https://[::1]"},
	{"https://[2001:DB8::1]:8443", "https://[2001:db8::1]:8443"},
	{"https://[::ffff:10.0.0.7]", "https://[::ffff:10.0.0.7]"},

	{"https://ana@kyc.legaltalent.ai", string(HasUser)},
	{"https://ana:hunter2@kyc.legaltalent.ai", string(HasUser)},
	{"https://@kyc.legaltalent.ai", string(HasUser)},
	{"https://kyc.legaltalent.ai:443@evil.example", string(HasUser)},
	{"https://evil.example\\@kyc.legaltalent.ai", string(HasUser)},

	{"https://kyc%2elegaltalent.ai", string(HostEncoded)},
	{"https://kyc.legaltalent.ai%00.evil.example", string(HostEncoded)},
	{"https://kyc.legaltalent.ai%40evil.example", string(HostEncoded)},
	{"https://[fe80::1%25eth0]", string(HostEncoded)},

	{"https://\u212ayc.legaltalent.ai", string(HostNotASCII)}, // KELVIN SIGN, which lower-cases to k
	{"https://kyc\uff0elegaltalent.ai", string(HostNotASCII)},
	{"https://kyc\u3002legaltalent.ai", string(HostNotASCII)},
	{"https://kyc.legaltalent.ai\xff", string(HostNotASCII)},

	{"https://kyc.legaltalent.ai\\.evil.example", string(Unreadable)},
	{"https://kyc.legaltalent.ai\x00", string(Unreadable)},
	{"https://kyc.legaltalent.ai\n.evil.example", string(Unreadable)},
	{"https://kyc.legaltalent.ai .evil.example", string(Unreadable)},
	{"https://kyc.legaltalent.ai\t", string(Unreadable)},
	{"https://kyc.legaltalent.ai:x", string(Unreadable)},
	{"https://kyc.legaltalent.ai/%zz", string(Unreadable)},
	{"https://[::1]:8443.evil.example", string(Unreadable)},
	{"https://[::1", string(Unreadable)},
	{" https://kyc.legaltalent.ai", string(Unreadable)},

	{"", string(NotHTTP)},
	{"kyc.legaltalent.ai", string(NotHTTP)},
	{"//kyc.legaltalent.ai", string(NotHTTP)},
	{"https:kyc.legaltalent.ai", string(NotHTTP)},
	{"https:/kyc.legaltalent.ai", string(NotHTTP)},
	{"ftp://kyc.legaltalent.ai", string(NotHTTP)},
	{"https+x://kyc.legaltalent.ai", string(NotHTTP)},
	{"javascript://kyc.legaltalent.ai/x", string(NotHTTP)},

	{"https://", string(NoHost)},
	{"https:///kyc.legaltalent.ai", string(NoHost)},
	{"https://:443", string(NoHost)},

	{"https://kyc.legaltalent.ai:", string(HostOdd)},
	{"https://]", string(HostOdd)},
	{"https://]:443", string(HostOdd)},
	{"https://a]", string(HostOdd)},
	{"https://kyc,legaltalent.ai", string(HostOdd)},
	{"https://kyc;legaltalent.ai", string(HostOdd)},
	{"https://(kyc)", string(HostOdd)},
	{"https://\"kyc\"", string(HostOdd)},
	{"https://kyc.legaltalent.ai.", string(HostDot)},
	{"https://kyc.legaltalent.ai.:443/x?y#z", string(HostDot)},

	{"https://kyc.legaltalent.ai:0", string(PortOdd)},
	{"https://kyc.legaltalent.ai:0443", string(PortOdd)},
	{"https://kyc.legaltalent.ai:65536", string(PortOdd)},
	{"https://kyc.legaltalent.ai:4294967739", string(PortOdd)}, // 443 in 32 bits
}

func TestParse(t *testing.T) {
	for _, row := range rows {
		o, err := Parse(row.raw)
		got := o.String()
		if err != nil {
			got = err.Error()
		}
		if got != row.want {
			t.Errorf("%q gives %s, want %s", row.raw, got, row.want)
		}
		if reason, ok := err.(Reason); err != nil && (!ok || o != Origin{} || strings.Contains(string(reason), "hunter2")) {
			t.Errorf("%q gives %+v and a %T", row.raw, o, err)
		}
	}
}

// net/url disagrees with itself from version to version about brackets and colons, so
// that these are only said to be refused, and not why.
func TestParseRefusesBrackets(t *testing.T) {
	for _, host := range []string{"[", "[]", "]", "[]:443", "[::1", "::1]", "::1", "::1:8443", "[::1]]", "[[::1]]", "[::1]a", "a[::1]", "[a]", "[127.0.0.1]", "[::1]::443", "[:::1]", "[v1.a]"} {
		if o, err := Parse("https://" + host); err == nil {
			t.Errorf("https://%s gives %+v", host, o)
		}
	}
}

func TestHostURL(t *testing.T) {
	for _, tt := range []struct{ scheme, host, want string }{
		{"https", "kyc.legaltalent.ai", "https://kyc.legaltalent.ai"},
		{"http", "127.0.0.1:8080", "http://127.0.0.1:8080"},
		{"https", "[::1]:8443", "https://[::1]:8443"},
		{"https", "evil.example/kyc.legaltalent.ai", ""},
		{"https", "kyc.legaltalent.ai?x", ""},
		{"https", "kyc.legaltalent.ai#x", ""},
		{"ssh", "kyc.legaltalent.ai", ""},
		{"https://evil.example/?", "kyc.legaltalent.ai", ""},
		{"", "kyc.legaltalent.ai", ""},
	} {
		if got := HostURL(tt.scheme, tt.host); got != tt.want {
			t.Errorf("%s, %s gives %q, want %q", tt.scheme, tt.host, got, tt.want)
		}
	}
	if _, err := Parse(HostURL("https", "a/b")); err != NotHTTP {
		t.Error(err)
	}
}

func TestIsLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "127.0.0.1": true, "127.9.9.9": true, "::1": true, "::ffff:127.0.0.1": true,
		"": false, "LOCALHOST": false, "localhost.": false, "localhost.example": false, "a.localhost": false, "127.1": false, "127.0.0.1.": false,
		"0.0.0.0": false, "::": false, "10.0.0.7": false, "[::1]": false, "::1%lo": false, "127.0.0.1.example": false, "0127.0.0.1": false,
	} {
		if IsLoopback(host) != want {
			t.Errorf("%q: want %v", host, want)
		}
	}
}

// FuzzParse holds that what is taken has the host that net/url finds in it, and is the
// same when it is written and read again.
func FuzzParse(f *testing.F) {
	for _, row := range rows {
		f.Add(row.raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		o, err := Parse(raw)
		if err != nil {
			return
		}
		u, err := url.Parse(raw)
		if err != nil || u.User != nil || !strings.EqualFold(u.Hostname(), strings.Trim(o.Host, "[]")) || u.Port() != "" && u.Port() != o.Port {
			t.Errorf("%q is %s, and %v, %v", raw, o, u, err)
		}
		if again, err := Parse(o.String()); err != nil || again != o {
			t.Errorf("%q is %s, then %s, %v", raw, o, again, err)
		}
		bare := strings.TrimSuffix(strings.TrimPrefix(o.Host, "["), "]")
		if strings.ContainsAny(bare, "[]@%/\\ ") || strings.Contains(bare, ":") != strings.HasPrefix(o.Host, "[") {
			t.Errorf("%q has the host %s", raw, o.Host)
		}
	})
}
