package awscreds

import (
	"context"
	"encoding/xml"
	"net/url"
	"strconv"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/internal/awscall"
)

// Every role allows sessions of an hour, because IAM accepts no shorter maximum.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
const sessionSeconds = 3600

// maxSessionName is the longest RoleSessionName, in bytes.
const maxSessionName = 64

// assumeRole gets credentials of the role from STS.
func (o *operation) assumeRole(ctx context.Context) (agent.AWSResult, error) {
	call := awscall.Call{Name: "AssumeRoleWithWebIdentity", Host: "STS", Service: "STS", Format: "XML"}
	parameters := url.Values{
		"Action":           {call.Name},
		"Version":          {"2011-06-15"},
		"RoleArn":          {o.env.AWSRoleARN},
		"RoleSessionName":  {sessionName(o.env.Name)},
		"WebIdentityToken": {o.token.Reveal()},
		"DurationSeconds":  {strconv.Itoa(sessionSeconds)},
	}
	out, x, fail := invoke(ctx, o, call, func(ctx context.Context) (*credentials, error) {
		body, err := o.send(ctx, request{
			service: "sts", region: o.env.Region, contentType: "application/x-www-form-urlencoded", body: []byte(parameters.Encode()), refused: xmlError,
		})
		if err != nil {
			return nil, err
		}
		return readAssumedRole(body)
	})
	if fail != nil {
		return agent.AWSResult{}, o.errorFor(fail)
	}
	return o.result(call, x, *out)
}

// readAssumedRole returns the credentials in an answer of STS.
func readAssumedRole(body []byte) (*credentials, error) {
	var answer struct {
		XMLName xml.Name `xml:"AssumeRoleWithWebIdentityResponse"`
		Result  struct {
			AccessKeyID     string `xml:"AccessKeyId"`
			SecretAccessKey string
			SessionToken    string
			Expiration      time.Time // RFC 3339
		} `xml:"AssumeRoleWithWebIdentityResult>Credentials"`
	}
	if err := xml.Unmarshal(body, &answer); err != nil {
		return nil, err
	}
	c := answer.Result
	return &credentials{c.AccessKeyID, c.SecretAccessKey, c.SessionToken, c.Expiration}, nil
}

// sessionName returns the name of the session in AWS's logs. Every character that the name of
// an environment may have is allowed in it.
func sessionName(env string) string {
	name := "kyc-agent-" + env
	return name[:min(len(name), maxSessionName)]
}
