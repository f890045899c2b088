package awscreds

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

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
	api := sts.New(sts.Options{
		Region: o.env.Region, BaseEndpoint: o.endpoint(), HTTPClient: o.client(), Retryer: aws.NopRetryer{},
	})
	call := awscall.Call{Name: "AssumeRoleWithWebIdentity", Host: "STS", Service: "STS", Format: "XML"}
	out, x, fail := invoke(ctx, o, call, func(ctx context.Context) (*sts.AssumeRoleWithWebIdentityOutput, error) {
		return api.AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{
			RoleArn:          aws.String(o.env.AWSRoleARN),
			RoleSessionName:  aws.String(sessionName(o.env.Name)),
			WebIdentityToken: aws.String(o.token.Reveal()),
			DurationSeconds:  aws.Int32(sessionSeconds),
		})
	})
	if fail != nil {
		return agent.AWSResult{}, o.errorFor(fail)
	}
	c := out.Credentials
	if c == nil {
		c = new(types.Credentials)
	}
	return o.result(call, x, c.AccessKeyId, c.SecretAccessKey, c.SessionToken, c.Expiration)
}

// sessionName returns the name of the session in AWS's logs. Every character that the name of
// an environment may have is allowed in it.
func sessionName(env string) string {
	name := "kyc-agent-" + env
	return name[:min(len(name), maxSessionName)]
}
