package config

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
)

func TestExtends(t *testing.T) {
	const text = `
[environments.prod]
allowed_hosts = ["files.example"]
auth_flow = "srp"
username = "ana"
password_file = "/etc/ana"
hand_out_access_tokens = true
[environments.prod-ci]
extends = "prod"
refresh_token_validity = "7d"
[environments.prod-ci-eu]
extends = "prod-ci"
region = "eu-west-1"
`
	c, _, err := loadText(t, text, "KYC_PROD_ENDPOINT=https://cognito-idp-fips.us-east-2.amazonaws.com", "KYC_PROD_CI_CLIENT_ID=another")
	if err != nil {
		t.Fatal(err)
	}
	ci, eu := c.Environments["prod-ci"], c.Environments["prod-ci-eu"]
	want := Environment{
		Extends: EnvironmentName{"prod"}, Region: Region{"us-east-2"}, UserPoolID: PoolID{"us-east-2_L37NAaTbI"}, ClientID: ClientID{"another"},
		APIURL: URL{"https://kyc.legaltalent.ai"}, AuthFlow: AuthFlow{"srp"}, RefreshTokenValidity: Validity{"7d"},
		Endpoint: URL{"https://cognito-idp-fips.us-east-2.amazonaws.com"},
	}
	if !reflect.DeepEqual(ci, want) {
		t.Errorf("prod-ci: got %+v\nwant %+v", ci, want)
	}
	want.Extends, want.Region, want.clientOf = EnvironmentName{"prod-ci"}, Region{"eu-west-1"}, []string{"prod-ci"}
	if !reflect.DeepEqual(eu, want) {
		t.Errorf("prod-ci-eu: got %+v\nwant %+v", eu, want)
	}
}

// The client secret goes with the app client, wherever it is.
func TestExtendsTheClientSecret(t *testing.T) {
	credentials := t.TempDir()
	for name, text := range map[string]string{"kyc-prod.client-secret": "ofprod", "kyc-other.client-secret": "ofother"} {
		if err := os.WriteFile(filepath.Join(credentials, name), []byte(text), 0o400); err != nil {
			t.Fatal(err)
		}
	}
	const text = `
[environments.ci]
extends = "prod"
[environments.nightly]
extends = "ci"
[environments.client]
extends = "prod"
client_id = "another"
[environments.other]
extends = "prod"
`
	vars := Environ{"CREDENTIALS_DIRECTORY=" + credentials}
	c, _, err := loadText(t, text, vars...)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"prod": "ofprod", "ci": "ofprod", "nightly": "ofprod", "client": "", "other": "ofother"} {
		if got, err := c.Environments[name].ClientSecret(name, vars); err != nil || got.Current().Reveal() != want {
			t.Errorf("%s: %q, %v; want %q", name, got.Current().Reveal(), err, want)
		}
	}

	file := secretAt(t, "secret", "ofthefile", 0o600)
	c, _, err = loadText(t, text, "KYC_PROD_CLIENT_SECRET_FILE="+file)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"nightly": "ofthefile", "client": ""} {
		if got, err := c.Environments[name].ClientSecret(name, nil); err != nil || got.Current().Reveal() != want {
			t.Errorf("%s: %q, %v; want %q", name, got.Current().Reveal(), err, want)
		}
	}
}

func TestExtendsErrors(t *testing.T) {
	for text, want := range map[string]string{
		"[environments.ci]\nextends='prd'":                               `environments.ci: extends: no environment "prd" is configured; configured: ci, prod, staging`,
		"[environments.ci]\nextends='ci'":                                "environments.ci: extends: an environment cannot extend itself",
		"[environments.a]\nextends='b'\n[environments.b]\nextends='a'":   "environments.b: extends: a extends b in the end",
		"[environments.c]\nextends='a'\n[environments.a]\nextends='a'":   "environments.a: extends: an environment cannot extend itself",
		"[environments.staging]\nextends='prod'":                         "environments.staging: extends: staging is built in and has its own keys; give the environment another name",
		"[environments.ci]\nextends='Prod'":                              `:2: environments.ci.extends: bad environment name "Prod"`,
		"[environments.ci]\nextends='b'\n[environments.b]\nregion='r-1'": "environments.b: user_pool_id is missing",
	} {
		wantConfigError(t, text, want)
	}
}

// A region that is not the user pool's is that of a replica.
func TestReplica(t *testing.T) {
	c, _, err := loadText(t, "[environments.prod-eu]\nextends = 'prod'\nregion = 'eu-west-1'")
	if err != nil {
		t.Fatal(err)
	}
	want := prodBuiltIn
	want.Name, want.Region = "prod-eu", "eu-west-1"
	if got := agentConfig(t, c).Environments; !reflect.DeepEqual(got, []agent.Environment{prodBuiltIn, want, stagingBuiltIn}) {
		t.Errorf("%+v", got)
	}
	if got := want.EndpointURL(); got != "https://cognito-idp.eu-west-1.amazonaws.com" {
		t.Error(got)
	}
}
