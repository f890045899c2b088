package awstest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"

	"github.com/legaltalent/kyc-agent/agent/awscreds/awstest"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

// start starts a user pool and an AWS that trusts it, and returns an ID token.
func start(t *testing.T) (srv *awstest.Server, token string) {
	pool := cognitotest.New()
	t.Cleanup(pool.Close)
	pool.AddUser(cognitotest.User{Name: "ada", Password: "correct horse"})
	srv = awstest.New(awstest.UserPool{Issuer: pool.Issuer(), JWKS: pool.Issuer() + "/.well-known/jwks.json", ClientID: pool.ClientID})
	t.Cleanup(srv.Close)
	body := `{"AuthFlow":"USER_PASSWORD_AUTH","ClientId":"` + pool.ClientID + `","AuthParameters":{"USERNAME":"ada","PASSWORD":"correct horse"}}`
	req, _ := http.NewRequestWithContext(t.Context(), "POST", pool.URL, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "AWSCognitoIdentityProviderService.InitiateAuth")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var out struct{ AuthenticationResult struct{ IdToken string } }
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil || out.AuthenticationResult.IdToken == "" {
		t.Fatalf("no ID token: %v", err)
	}
	return srv, out.AuthenticationResult.IdToken
}

func client(srv *awstest.Server, c aws.CredentialsProvider) *sts.Client {
	return sts.New(sts.Options{Region: "us-east-2", BaseEndpoint: aws.String(srv.URL), Retryer: aws.NopRetryer{}, Credentials: c})
}

func assume(ctx context.Context, srv *awstest.Server, token string) (*types.Credentials, error) {
	out, err := client(srv, nil).AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: aws.String(srv.RoleARN), RoleSessionName: aws.String("test"), WebIdentityToken: aws.String(token),
		DurationSeconds: aws.Int32(3600),
	})
	if err != nil {
		return nil, err
	}
	return out.Credentials, nil
}

// Only a signature with issued credentials that have not expired is accepted.
func TestCallerIdentityWantsASignature(t *testing.T) {
	srv, token := start(t)
	good, err := assume(t.Context(), srv, token)
	if err != nil {
		t.Fatal(err)
	}
	srv.SetLifetime(-time.Second)
	ended, err := assume(t.Context(), srv, token)
	if err != nil {
		t.Fatal(err)
	}
	with := func(id, secret, session string) aws.CredentialsProvider {
		return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: session}, nil
		})
	}
	for name, test := range map[string]struct {
		credentials aws.CredentialsProvider
		code        string
	}{
		"good":            {with(*good.AccessKeyId, *good.SecretAccessKey, *good.SessionToken), ""},
		"another secret":  {with(*good.AccessKeyId, *ended.SecretAccessKey, *good.SessionToken), "SignatureDoesNotMatch"},
		"another session": {with(*good.AccessKeyId, *good.SecretAccessKey, *ended.SessionToken), "InvalidClientTokenId"},
		"no session":      {with(*good.AccessKeyId, *good.SecretAccessKey, ""), "InvalidClientTokenId"},
		"ended":           {with(*ended.AccessKeyId, *ended.SecretAccessKey, *ended.SessionToken), "InvalidClientTokenId"},
		"unknown":         {with("ASIAUNKNOWN", "x", "y"), "InvalidClientTokenId"},
		"unsigned":        {aws.AnonymousCredentials{}, "MissingAuthenticationToken"},
	} {
		_, err := client(srv, test.credentials).GetCallerIdentity(t.Context(), nil)
		if got := codeOf(err); got != test.code {
			t.Errorf("%s: %q (%v), want %q", name, got, err, test.code)
		}
	}
}

func codeOf(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	if err != nil {
		return fmt.Sprint(err)
	}
	return ""
}

// An ID token with another signature, or none, is refused.
func TestTokensAreVerified(t *testing.T) {
	srv, token := start(t)
	signature := strings.LastIndex(token, ".") + 1
	for name, bad := range map[string]string{
		"signature": token[:signature] + strings.Repeat("A", len(token)-signature), "none": token[:signature], "text": "x",
	} {
		if _, err := assume(t.Context(), srv, bad); codeOf(err) != "InvalidIdentityToken" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := assume(t.Context(), srv, token); err != nil {
		t.Error(err)
	}
	if n := srv.Calls(awstest.AssumeRoleWithWebIdentity); n != 4 {
		t.Errorf("%d calls were counted, want 4", n)
	}
}
