package config

import (
	"slices"
	"strings"
	"testing"
)

func TestAllowedHosts(t *testing.T) {
	c, _, err := loadText(t, `
		[environments.prod]
		allowed_hosts = ["files.kyc.example", "10.0.0.7:8443", "[::1]", "localhost:80"]
		[environments.staging]
		allowed_hosts = ["replaced.kyc.example"]`,
		"KYC_STAGING_ALLOWED_HOSTS=files.kyc.example:8443, kyc.example,")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range [][]string{
		{"files.kyc.example", "10.0.0.7:8443", "[::1]", "localhost:80"}, {"files.kyc.example:8443", "kyc.example"},
	} {
		if e := agentConfig(t, c).Environments[i]; !slices.Equal(e.AllowedHosts, want) {
			t.Errorf("%s: %q, want %q", e.Name, e.AllowedHosts, want)
		}
	}
}

func TestAllowedHostsThatAreNone(t *testing.T) {
	for _, host := range []string{
		"Kyc.example", "kyc.example.", ".kyc.example", "kyc..example", "*.kyc.example", "*", "https://kyc.example", "kyc.example/x",
		"ana@kyc.example", "kyc.example:", "kyc.example:0", "kyc.example:00443", "kyc.example:65536", "kyc.example:+1", "kyc.example:x",
		"kyc.example:1:2", "::1", "[::1", "::1]", "[10.0.0.7]", "[kyc.example]", "[::1%lo]", "[0::1]", "[::1]x", "127.1", "0x7f.1", "1", "10.0.0.07",
		"kyc%2eexample", "küc.example", "kyc example", "kyc.example?x", "kyc.example#x", "-kyc.example", "kyc_.example",
		strings.Repeat("a.", 126) + "aa",
	} {
		wantConfigError(t, "[environments.prod]\nallowed_hosts = ['kyc.example', '"+host+"']", ":2: environments.prod.allowed_hosts: bad host ")
	}
	for value, kind := range map[string]string{"'kyc.example'": "string", "1": "integer"} {
		wantConfigError(t, "[environments.prod]\nallowed_hosts = "+value,
			":2: environments.prod.allowed_hosts: not a value for this key ("+kind+`); want a list: ["files.kyc.example"]`)
	}
	_, _, err := loadText(t, "", "KYC_PROD_ALLOWED_HOSTS=kyc.example,https://x")
	if err == nil || !strings.Contains(err.Error(), `KYC_PROD_ALLOWED_HOSTS: bad host "https://x"`) {
		t.Error(err)
	}
}

// Which of two environments with one api_url comes first does not matter: each may list its own
// host, and no other environment may.
func TestHostsOfTwoWithOneAPI(t *testing.T) {
	const pool = "region='r'\nuser_pool_id='r_p'\nclient_id='c'\n"
	first := "[environments.a]\n" + pool + "api_url='https://one.example'\n"
	second := "[environments.b]\n" + pool + "api_url='https://one.example:443/base'\n"
	const own = "allowed_hosts = ['one.example']\n"
	for _, text := range []string{first + own + second, first + second + own, first + own + second + own} {
		if _, _, err := loadText(t, text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, third := range []string{"0", "z"} { // before and after them
		wantConfigError(t, first+second+"[environments."+third+"]\n"+pool+"api_url='https://other.example'\n"+own, "one.example is a host of a, too")
	}
}

// A host means one environment.
func TestHostsOfTwo(t *testing.T) {
	const prod = "[environments.prod]\napi_url = 'https://KYC.example'\n"
	for text, host := range map[string]string{
		prod + "allowed_hosts = ['x.example']\n[environments.staging]\nallowed_hosts = ['x.example']":          "x.example is a host of prod, too",
		prod + "allowed_hosts = ['x.example']\n[environments.staging]\nallowed_hosts = ['x.example:443']":      "x.example:443 is a host of prod, too",
		prod + "[environments.staging]\nallowed_hosts = ['kyc.example']":                                       "kyc.example is a host of prod, too",
		prod + "allowed_hosts = ['x.example']\n[environments.staging]\napi_url = 'https://x.example:443/base'": "x.example is a host of staging, too",
		prod + "[environments.staging]\napi_url = 'http://127.0.0.1'\n[environments.uat]\nregion='r'\nuser_pool_id='r_p'\nclient_id='c'\n" +
			"api_url='https://u.example'\nallowed_hosts = ['127.0.0.1:80']": "127.0.0.1:80 is a host of staging, too",
	} {
		wantConfigError(t, text, host+"; one host can mean one environment only")
	}
	for _, text := range []string{
		prod + "allowed_hosts = ['x.example']\n[environments.staging]\nallowed_hosts = ['x.example:8443', 'kyc.example:8443']",
		prod + "allowed_hosts = ['kyc.example', 'x.example', 'x.example']",
		prod + "[environments.staging]\napi_url = 'https://kyc.example'",
	} {
		if _, _, err := loadText(t, text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}
