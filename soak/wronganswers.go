package main

import (
	"time"

	"github.com/legaltalent/kyc-agent/soak/fakecognito"
)

// A wrongAnswer is an exit code that says something untrue and is known to. An entry is
// deleted with the change that corrects it.
type wrongAnswer struct {
	code    int
	text    string // that the answer has
	young   bool   // only to requests for a young token
	reason  string
	happens func(fakecognito.Fault) bool
}

// wrongAnswers are those of today: there is none.
var wrongAnswers []wrongAnswer

// excuseWrong allows the wrong answers that a fault causes, until the phase's repair.
func (s *soak) excuseWrong(env string, f fakecognito.Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range wrongAnswers {
		if w.happens(f) {
			x := &excuse{event: event{env: env, at: time.Now()}, codes: []int{w.code}, reason: w.reason, young: w.young, text: w.text}
			s.excuses = append(s.excuses, x)
		}
	}
}
