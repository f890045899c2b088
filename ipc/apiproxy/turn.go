package apiproxy

import (
	"fmt"
	"net/http"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/ipc/apiproxy/pace"
)

// readPreference reads how long the request may wait for its turn. The client is told that
// the agent did as it asked, whatever the answer is.
func (q *proxyRequest) readPreference() {
	if q.wait = takeWait(q.in.Header); q.wait > 0 {
		q.waitEnds = time.Now().Add(q.wait)
	}
}

// setPreferenceApplied adds the header of the answer to a request that could wait.
func (q *proxyRequest) setPreferenceApplied(h http.Header) {
	if q.wait > 0 {
		h.Add("Preference-Applied", fmt.Sprintf("wait=%d", int(q.wait.Seconds())))
	}
}

// takeTurn returns when the request may be sent, and gets the token for it. The wait may be
// long: the token is asked for again after it, and the environment may have another API then.
func (q *proxyRequest) takeTurn(again bool) (err error) {
	for {
		apiURL := q.token.APIURL
		if q.turn, err = q.proxy.Pace.Acquire(q.in.Context(), q.turnRequest(again)); err != nil {
			return q.inEnvironment(err)
		}
		if !q.turn.Waited() {
			return nil
		}
		if q.token, err = q.getToken(0); err == nil && q.token.APIURL == apiURL {
			return nil
		}
		q.endTurn(nil)
		if err != nil {
			return err
		}
		if again { // it was made for the old one
			return &agent.Error{
				Code: agent.CodeUnavailable, Op: "proxy", Environment: q.token.Environment,
				Message: "api_url has changed while the request waited", Hint: "try again",
			}
		}
	}
}

func (q *proxyRequest) turnRequest(again bool) pace.Request {
	r := pace.Request{APIURL: q.token.APIURL, Client: q.proxy.client(q.in), Held: len(q.body), Again: again, Stopping: q.proxy.Stopping}
	if q.wait > 0 {
		r.Wait = time.Until(q.waitEnds)
	}
	if q.proxy.HungUp != nil && q.wait > 0 && q.body == nil && q.in.ContentLength != 0 {
		r.HungUp = func() bool { return q.proxy.HungUp(q.in) }
	}
	return r
}

// client returns who sends r.
func (p *Proxy) client(r *http.Request) pace.Client {
	if p.Client == nil {
		return pace.Client{}
	}
	return p.Client(r)
}

// endTurn says how the request that had its turn was answered; nil means not at all.
func (q *proxyRequest) endTurn(res *http.Response) {
	q.turn.Done(res)
	q.turn = pace.Turn{}
}

// mayWaitAgain reports whether a request that was answered 429 may wait for another turn.
func (q *proxyRequest) mayWaitAgain() bool { return q.wait > 0 && time.Now().Before(q.waitEnds) }

// inEnvironment returns err, an [agent.Error] of package pace, with the environment.
func (q *proxyRequest) inEnvironment(err error) error {
	if e, ok := err.(*agent.Error); ok {
		e.Environment = q.token.Environment
	}
	return err
}
