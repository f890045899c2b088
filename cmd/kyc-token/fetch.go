package main

import (
	"io"
	"os"
	"strconv"
	"syscall"
	"time"
)

// fetch sends request to the agent at path and returns the complete output and the
// warning. The agent must run as uid. With mayBeEmpty there may be no output.
func fetch(path, request string, uid int, mayBeEmpty bool, deadline time.Time) (output, error) {
	c, err := dial(path, deadline)
	if err != nil {
		return output{}, dialFailure(path, err)
	}
	defer c.close()
	if err := checkPeer(c, path, uid); err != nil {
		return output{}, err
	}
	a, err := exchange(c, request)
	if err != nil {
		return output{}, answerFailure(path, err)
	}
	text, err := a.result(mayBeEmpty)
	if a.status == 200 && err != nil {
		return output{}, answerFailure(path, err)
	}
	return output{text, a.warning}, err
}

// exchange sends request and reads until the answer is complete.
func exchange(c conn, request string) (answer, error) {
	// An agent that closes early may have sent the reason before, which can still be read.
	if err := c.write(request); err != nil && err != syscall.EPIPE {
		return answer{}, err
	}
	var raw []byte
	buf := make([]byte, 4096)
	for {
		n, err := c.read(buf)
		raw = append(raw, buf[:n]...)
		if err != nil && err != io.EOF {
			return answer{}, err
		}
		if len(raw) > maxAnswer {
			return answer{}, errTooLarge
		}
		a, parseErr := parseAnswer(string(raw), err == io.EOF)
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

// dialFailure explains why kyc-token could not connect.
func dialFailure(path string, err error) error {
	switch err {
	case syscall.ENOENT, syscall.ENOTDIR, syscall.ECONNREFUSED:
		return failure{exitUnavailable, "no agent answers on " + path + "; run: " + startCommand}
	case syscall.EACCES, syscall.EPERM:
		return failure{exitDenied, path + ": permission denied; " + deniedHint()}
	case syscall.EAGAIN:
		return failure{exitTemporary, path + ": the agent accepted no connection in time; try again"}
	}
	if e, ok := err.(*os.SyscallError); ok { // from making the socket, so not the agent's fault
		return failure{exitTemporary, "cannot make a socket: " + e.Err.Error() + "; close some programs, or raise the limit (ulimit -n), then try again"}
	}
	return failure{exitUnavailable, "no agent answers on " + path + ": " + err.Error() + "; run: " + startCommand}
}

// answerFailure explains why there is no usable answer.
func answerFailure(path string, err error) error {
	switch err {
	case syscall.EAGAIN:
		return failure{exitTemporary, path + ": the agent did not answer in time; try again, and see: kyc-agentd status"}
	case syscall.ECONNRESET:
		err = errIncomplete
	}
	if f, ok := err.(failure); ok {
		return failure{f.exit, path + ": the answer " + f.text}
	}
	return failure{exitTemporary, path + ": " + err.Error() + "; try again"}
}
