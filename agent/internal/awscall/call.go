// Package awscall makes calls of AWS's APIs by the SDK's clients, for the adapters that
// have to: each call once, with a deadline, and with no word of the server's in what
// comes of it. AWS's messages have been seen to echo tokens, and the SDK's errors quote
// whole answers.
//
// An adapter gives the SDK's client a [Doer] as its HTTPClient and aws.NopRetryer as its
// Retryer, and makes every call by [Make].
package awscall

import (
	"context"
	"time"
)

// A Call is what is called, for the words of a [Failure].
type Call struct {
	Name    string // "InitiateAuth"
	Host    string // "cognito-idp.us-east-2.amazonaws.com"; Make knows it once something was sent
	Service string // who answers, to a person: "Cognito"
	Format  string // of its answers: "JSON"
}

// exchangeKey is where a call's context carries its *Exchange.
type exchangeKey struct{}

// Make makes the call f, which is handed a context that ends after timeout. Exactly one
// of the results Out and *Failure is set; message is the server's own about the failure,
// to be looked into for what it means, and shown to nobody.
func Make[Out any](ctx context.Context, c Call, timeout time.Duration, f func(context.Context) (*Out, error)) (out *Out, x *Exchange, fail *Failure, message string) {
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
