package ipc

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/legaltalent/kyc-agent/agent"
)

// TestGuessedConversations guesses the id of a sign-in that waits for an answer: at random, and
// close to the right one. No guess answers, watches or ends it, and no log has the id.
func TestGuessedConversations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		ln, log := serveLogged(t, &Server{Service: asking(func(err error) { ended <- err })})
		id := ask(t, ln, post("/v1/login", "{}")).step(t).ID
		guesses := []string{"", ".", "*", "0", "1", id + id, id + "=", " " + id, id + "\x00", "x" + id, id[1:], id[:len(id)-1], strings.ToLower(id)}
		for i := range id {
			for _, other := range []string{"A", "7", "a", "%00", "*", ""} {
				if guess := id[:i] + other + id[i+1:]; guess != id {
					guesses = append(guesses, guess)
				}
			}
		}
		for len(guesses) < 300 {
			another := ask(t, ln, post("/v1/login", "{}")).step(t).ID
			ask(t, ln, rawRequest("DELETE", "/v1/login/"+another, ""))
			<-ended
			if len(another) != len(id) || another == id {
				t.Fatalf("the ids %s and %s", id, another)
			}
			guesses = append(guesses, another) // one that is over
		}
		tried := 0
		for _, guess := range guesses {
			target := "/v1/login/" + url.PathEscape(guess)
			for _, raw := range []string{post(target, answers("123456")), rawRequest("GET", target, ""), rawRequest("DELETE", target, "")} {
				tried++
				if a := ask(t, ln, raw); a.StatusCode != http.StatusNotFound && a.StatusCode != http.StatusBadRequest || strings.Contains(a.body, id) {
					t.Errorf("%q: %d %s", guess, a.StatusCode, a.body)
				}
			}
		}
		select {
		case err := <-ended:
			t.Errorf("a guess ended the sign-in: %v", err)
		default:
		}
		if a := ask(t, ln, post("/v1/login/"+id, answers("123456"))); a.StatusCode != http.StatusOK {
			t.Errorf("the right id: %d %s", a.StatusCode, a.body)
		}
		if err := <-ended; err != nil && agent.CodeOf(err) != agent.CodeUsage {
			t.Error(err)
		}
		if strings.Contains(log(), id) {
			t.Errorf("the id is in the log: %s", log())
		}
		t.Logf("%d requests with %d guesses", tried, len(guesses))
	})
}
