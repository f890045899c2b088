package main

import (
	"io"
	"strconv"
	"syscall"
	"time"
)

// fetch sends request to the agent at a and returns the complete output and the
// warning. With mayBeEmpty there may be no output.
func (p process) fetch(a address, request string, mayBeEmpty bool, deadline time.Time) (output, error) {
	c, err := dial(a.path, deadline)
	if err != nil {
		return output{}, p.dialFailure(a, err)
	}
	defer c.close()
	if err := checkPeer(c, a.path, p.uid); err != nil {
		return output{}, err
	}
	got, err := exchange(&c, request)
	if err != nil {
		return output{}, c.failure(a.path, err)
	}
	text, err := got.result(mayBeEmpty)
	if got.status == 200 && err != nil {
		return output{}, c.failure(a.path, err)
	}
	return output{text, got.warning}, err
}

// firstRead is for how much of an answer there is room at first; append makes more.
var firstRead = 8 << 10

// exchange sends request and reads until the answer is complete.
func exchange(c *conn, request string) (answer, error) {
	// An agent that closes early may have sent the reason before, which can still be read.
	if err := c.write(request); err != nil && err != syscall.EPIPE {
		return answer{}, err
	}
	// A token has one or two thousand bytes. On the stack they would make it grow once more.
	raw := make([]byte, 0, firstRead)
	for {
		if len(raw) == cap(raw) {
			raw = append(raw, 0)[:len(raw)]
		}
		n, err := c.read(raw[len(raw):cap(raw)])
		raw = raw[:len(raw)+n]
		if err != nil && err != io.EOF {
			return answer{}, err
		}
		if len(raw) > maxAnswer {
			return answer{}, errTooLarge
		}
		a, parseErr := parseAnswer(textOf(raw), err == io.EOF)
		if parseErr != errIncomplete || err == io.EOF {
			return a, parseErr
		}
	}
}

// checkPeer refuses an agent that runs as another user, before anything is sent: its
// answer could not be this user's token.
func checkPeer(c conn, path string, uid int) error {
	peer, err := c.peerUID()
	if err != nil {
		return failure{exitInternal, path + ": cannot find out which user runs this agent: " + err.Error()}
	}
	if peer != uid {
		return failure{exitDenied, path + " is the agent of user id " + strconv.Itoa(peer) + ", and yours is " +
			strconv.Itoa(uid) + "; " + deniedHint()}
	}
	return nil
}

// checkSocket is the next step when another program listens on the socket.
const checkSocket = "check -socket and KYC_AGENT_SOCK"
