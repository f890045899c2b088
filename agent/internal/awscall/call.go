// Package awscall makes calls to AWS APIs for the adapters, with the clients of the AWS SDK:
// each call once, with a deadline, and without any text of the server in its errors. AWS's
// messages have been seen to echo tokens, and the SDK's errors quote whole answers.
//
// An adapter gives the SDK's client a [Doer] as its HTTPClient and aws.NopRetryer as its
// Retryer, and makes every call with [Make]. Files: call.go makes the call, failure.go
// describes one that failed, http.go is the transport, url.go checks endpoints.
package awscall

import (
	"context"
	"time"
)

// A Call describes an API call, for the text of a [Failure].
type Call struct {
	Name    string // "InitiateAuth"
	Host    string // "cognito-idp.us-east-2.amazonaws.com"; Make sets it when a request is sent
	Service string // the name to show a person: "Cognito"
	Format  string // of the answers: "JSON"
}

// exchangeKey is the context key of a call's *Exchange.
type exchangeKey struct{}

// Make calls f with a context that ends after timeout. Exactly one of the results Out and
// *Failure is set. message is the server's error message: search it for known phrases, but
// never show or log it.
func Make[Out any](
	ctx context.Context, c Call, timeout time.Duration, f func(context.Context) (*Out, error),
) (out *Out, x *Exchange, fail *Failure, message string) {
	x = &Exchange{}
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, exchangeKey{}, x), timeout)
	defer cancel()
	started := time.Now()
	out, err := f(ctx)
	x.Took = time.Since(started)
	if x.host != "" {
		c.Host = x.host
	}
	if err != nil {
		fail, message = newFailure(ctx, c, x.Took, x, err)
		return nil, x, fail, message
	}
	return out, x, nil, ""
}
