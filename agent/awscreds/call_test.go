package awscreds

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/legaltalent/kyc-agent/agent"
)

// TestEndpoints compares the endpoints with those of the AWS SDK, which knows the domain of each
// part of AWS.
func TestEndpoints(t *testing.T) {
	for _, region := range []string{
		"us-east-1", "us-east-2", "eu-central-2", "mx-central-1", "us-gov-west-1", "cn-north-1", "cn-northwest-1", "eusc-de-east-1",
		"us-iso-east-1", "us-isob-east-1", "us-isof-south-1", "eu-isoe-west-1", "xx-new-1",
	} {
		want, err := sts.NewDefaultEndpointResolverV2().ResolveEndpoint(t.Context(), sts.EndpointParameters{Region: aws.String(region)})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := new(operation).endpoint("sts", region); got != want.URI.String()+"/" || err != nil {
			t.Errorf("%s: %s, %v; want %s/", region, got, err, &want.URI)
		}
	}
	for _, region := range []string{"", "evil.example/", "a.b", "x@y", "x:1", "US-EAST-1", "-", "a-", "us east"} {
		if got, err := new(operation).endpoint("sts", region); err == nil {
			t.Errorf("%q: %s", region, got)
		}
	}
	o := &operation{env: agent.Environment{AWSEndpoint: "https://aws.example/x"}}
	if got, err := o.endpoint("sts", ""); got != "https://aws.example/x" || err != nil {
		t.Errorf("%s, %v", got, err)
	}
}

func TestNoCodeTwice(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range errorMappings {
		if seen[m.code] {
			t.Errorf("%s is there twice", m.code)
		}
		seen[m.code] = true
	}
}
