// Package awscall makes calls to AWS APIs for the adapters, with clients of the AWS SDK or
// without: each call once, with a deadline, and without any text of the server in its errors.
// AWS's messages have been seen to echo tokens, and the SDK's errors quote whole answers.
//
// An adapter sends requests with a [Doer], which is the HTTPClient of an SDK's client whose
// Retryer is aws.NopRetryer, and makes every call with [Make], or with [MakeKept] if an answer
// that nobody waits for must not get lost. Files: call.go makes the call, failure.go describes
// one that failed, http.go is the transport, gzip.go decompresses, url.go checks endpoints.
package awscall

import (
	"context"
	"net/http/httptrace"
	"sync"
	"time"
)

// ConnectTimeout limits the time until a request is sent: DNS, TCP, the proxy and TLS. It also
// limits the TCP connection and the TLS handshake by themselves.
const ConnectTimeout = 10 * time.Second

// A Call describes an API call, for the text of a [Failure].
type Call struct {
	Name    string // "InitiateAuth"
	Host    string // "cognito-idp.us-east-2.amazonaws.com"; Make sets it when a request is sent
	Service string // the name to show a person: "Cognito"
	Format  string // of the answers: "JSON"
}

// exchangeKey is the context key of a call's *Exchange.
type exchangeKey struct{}

// Make calls f. It waits up to limit for the answer, from the moment the request was sent, and
// before that up to ConnectTimeout, or limit if that is shorter. The end of ctx ends the call.
// Exactly one of the results Out and *Failure is set. message is the server's error message:
// search it for known phrases, but never show or log it.
func Make[Out any](
	ctx context.Context, c Call, limit time.Duration, f func(context.Context) (*Out, error),
) (out *Out, x *Exchange, fail *Failure, message string) {
	return begin(ctx, f).wait(ctx, c, limit, nil)
}

// MakeKept is Make for a call whose answer must not get lost. If ctx or limit ends the wait
// after the request was sent, the call goes on for another limit, and late gets the answer if
// it is no error: the server may have done what nobody waits for any more.
func MakeKept[Out any](
	ctx context.Context, c Call, limit time.Duration, f func(context.Context) (*Out, error), late func(*Out),
) (out *Out, x *Exchange, fail *Failure, message string) {
	return begin(ctx, f).wait(ctx, c, limit, late)
}

// A pending is a call in progress.
type pending[Out any] struct {
	started time.Time
	cancel  context.CancelFunc
	x       *Exchange
	sent    chan struct{} // closed when the whole request was written
	done    chan result[Out]
}

type result[Out any] struct {
	out *Out
	err error
}

// begin starts a call, whose context does not end with ctx: wait decides about that.
func begin[Out any](ctx context.Context, f func(context.Context) (*Out, error)) *pending[Out] {
	p := &pending[Out]{started: time.Now(), x: &Exchange{}, sent: make(chan struct{}), done: make(chan result[Out], 1)}
	var once sync.Once
	ctx = httptrace.WithClientTrace(context.WithoutCancel(ctx), &httptrace.ClientTrace{
		WroteRequest: func(info httptrace.WroteRequestInfo) {
			if info.Err == nil {
				once.Do(func() { close(p.sent) })
			}
		},
	})
	ctx, p.cancel = context.WithCancel(context.WithValue(ctx, exchangeKey{}, p.x))
	go func() {
		out, err := f(ctx)
		p.done <- result[Out]{out, err}
	}()
	return p
}

// wait returns the outcome of the call. See MakeKept about late; if it is nil, the call ends
// with the wait.
func (p *pending[Out]) wait(
	ctx context.Context, c Call, limit time.Duration, late func(*Out),
) (*Out, *Exchange, *Failure, string) {
	timer := time.NewTimer(min(limit, ConnectTimeout))
	defer timer.Stop()
	var ended error
	for sent := p.sent; ended == nil; {
		select {
		case r := <-p.done:
			return p.finish(c, r, nil)
		case <-sent:
			sent = nil
			timer.Reset(limit)
		case <-timer.C:
			ended = context.DeadlineExceeded
		case <-ctx.Done():
			ended = ctx.Err()
		}
	}
	if late != nil && p.isSent() {
		go p.keep(limit, late)
		return p.leave(c, ended)
	}
	p.cancel()
	return p.finish(c, <-p.done, ended)
}

func (p *pending[Out]) isSent() bool {
	select {
	case <-p.sent:
		return true
	default:
		return false
	}
}

// keep waits for a late answer.
func (p *pending[Out]) keep(limit time.Duration, late func(*Out)) {
	defer p.cancel()
	timer := time.AfterFunc(limit, p.cancel)
	defer timer.Stop()
	if r := <-p.done; r.err == nil {
		late(r.out)
	}
}

// leave returns the failure of a call that goes on without its caller. It reads nothing of the
// exchange that the call may still write.
func (p *pending[Out]) leave(c Call, ended error) (*Out, *Exchange, *Failure, string) {
	x := &Exchange{host: p.x.host, Sent: p.x.Sent, Took: time.Since(p.started)}
	c.Host = x.host
	fail := &Failure{Call: c, Sent: true}
	fail.Explain(ended, x.Took, ended)
	return nil, x, fail, ""
}

// finish returns the outcome of a call that has ended; ended is why its wait did, or nil.
func (p *pending[Out]) finish(c Call, r result[Out], ended error) (*Out, *Exchange, *Failure, string) {
	p.cancel()
	p.x.Took = time.Since(p.started)
	if p.x.host != "" {
		c.Host = p.x.host
	}
	if r.err == nil {
		return r.out, p.x, nil, ""
	}
	fail, message := newFailure(ended, c, p.x, r.err)
	fail.Sent = p.isSent()
	return nil, p.x, fail, message
}
