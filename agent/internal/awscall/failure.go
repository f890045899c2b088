package awscall

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/aws/smithy-go"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/lazyregexp"
	"github.com/legaltalent/kyc-agent/internal/proxyconnect"
)

// A Failure is the error of a call. It contains no text that the server chose, so it is safe
// to log.
type Failure struct {
	Call       Call
	Code       string // AWS's error code; empty if the answer had none
	Status     int    // HTTP status; 0 if there was no answer
	Page       bool   // the answer was a page of HTML, and so not the API's
	CutOff     bool   // the connection was closed in the middle of the answer
	Sent       bool   // the whole request was sent
	Stage      Stage  // at which a call without an answer failed
	UnknownCA  bool   // with StageTLS: the certificate's authority is not trusted
	RequestID  string
	RetryAfter time.Duration
	Text       string // set if Code is empty: "no answer from … within 10 s"
	Cause      error  // context.Canceled, context.DeadlineExceeded or nil
}

// A Stage is the part of a connection at which a call without an answer failed.
type Stage string

// The stages, from near to far.
const (
	StageProxy      Stage = "proxy"      // the proxy refused the call or could not be reached
	StageDNS        Stage = "dns"        // DNS does not know the name, or did not answer
	StageConnection Stage = "connection" // refused, closed, unreachable, or timed out
	StageTLS        Stage = "tls"        // the server does not speak TLS, or its certificate is not trusted
)

func stageOf(err error) Stage {
	op, isOp := errors.AsType[*net.OpError](err)
	_, refused := proxyconnect.StatusOf(err)
	_, unresolved := errors.AsType[*net.DNSError](err)
	switch {
	case refused || isOp && op.Op == "proxyconnect":
		return StageProxy
	case unresolved:
		return StageDNS
	case tlsText("", err) != "":
		return StageTLS
	}
	return StageConnection
}

// Error returns one line for the log.
func (f *Failure) Error() string {
	s := f.Call.Name + ": " + f.Text
	if f.Code != "" {
		s = fmt.Sprintf("%s: %s, HTTP %d", f.Call.Name, f.Code, f.Status)
	}
	if f.RequestID != "" {
		s += ", request " + f.RequestID
	}
	return s
}

// Unwrap returns the error of the context if that ended the call.
func (f *Failure) Unwrap() error { return f.Cause }

// Is tells the agent whether there was an answer. What was cut off is none: the server has done
// the work.
func (f *Failure) Is(target error) bool {
	switch target {
	case agent.ErrNoAnswer:
		return f.Code == "" && f.Status < 300
	case agent.ErrUnreachable:
		return f.Code == "" && f.Status == 0 && !f.Sent
	}
	return false
}

// newFailure reduces an error of the SDK to a Failure. ended is why the wait for the call
// ended before the call did, or nil. message is the server's error message; see Make.
func newFailure(ended error, c Call, x *Exchange, err error) (f *Failure, message string) {
	f = &Failure{Call: c, Status: x.Status, Page: x.page, RetryAfter: x.RetryAfter, RequestID: x.RequestID}
	// The code decides, not the Go type: the SDK returns a generic error for a code that is
	// not modelled for the operation, even if it has a type for that code.
	api, ok := errors.AsType[smithy.APIError](err)
	if ok && codePattern.MatchString(api.ErrorCode()) && api.ErrorCode() != "UnknownError" {
		f.Code = api.ErrorCode()
		return f, api.ErrorMessage()
	}
	f.Explain(ended, x.Took, err)
	return f, ""
}

// codePattern matches an error code, of AWS ("NotAuthorizedException") or of OAuth
// ("invalid_grant"): a name that cannot contain a token or a control sequence of a terminal.
var codePattern = lazyregexp.New(`^([A-Z][A-Za-z]{2,63}|[a-z]{2,32}_[a-z_]{2,32})$`)

var requestIDPattern = lazyregexp.New(`^[0-9A-Za-z-]{1,64}$`)

// Explain sets Text, Stage and Cause of a failure without an error code, from the error of
// a call that took that long. ended is the error of the context that ended it, or nil.
func (f *Failure) Explain(ended error, took time.Duration, err error) {
	switch {
	case errors.Is(err, errAnswerTooLong):
		f.Text = f.Call.Host + " sent an answer above 1 MiB"
	case ended != nil:
		f.Cause, f.Stage = ended, StageConnection
		f.Text = unanswered(f.Call.Host, ended, took)
	case f.Status >= 200 && f.Status < 300:
		f.Text = fmt.Sprintf("%s sent an incomplete answer, or one that is not %s", f.Call.Host, f.Call.Format)
	case f.Status != 0 && errors.Is(err, io.ErrUnexpectedEOF):
		// The rest of the answer would say what its status means.
		f.Text, f.CutOff = fmt.Sprintf("%s closed the connection in the middle of its answer (HTTP %d)", f.Call.Host, f.Status), true
	case f.Status != 0:
		f.Text = fmt.Sprintf("%s answered HTTP %d with something that is not %s", f.Call.Host, f.Status, f.expectedAnswer(err))
	default:
		f.Text, f.Stage = networkText(f.Call.Host, took, err), stageOf(err)
		_, f.UnknownCA = errors.AsType[x509.UnknownAuthorityError](err)
	}
}

func (f *Failure) expectedAnswer(err error) string {
	if _, ok := errors.AsType[smithy.APIError](err); ok {
		return "a " + f.Call.Service + " error"
	}
	return f.Call.Format
}

func unanswered(host string, cause error, took time.Duration) string {
	if errors.Is(cause, context.Canceled) {
		return "the call to " + host + " was cancelled"
	}
	return fmt.Sprintf("no answer from %s within %s", host, seconds(took))
}

func seconds(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%d s", int(d.Round(time.Second).Seconds()))
}

// networkText describes why a call got no answer. The texts of net/http are not used because
// some of them quote what the other side sent.
func networkText(host string, took time.Duration, err error) string {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dnsText(host, dns)
	}
	if status, ok := proxyconnect.StatusOf(err); ok {
		return fmt.Sprintf("the proxy answered HTTP %d when asked for %s", status, host)
	}
	if s := tlsText(host, err); s != "" {
		return s
	}
	who := host
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "proxyconnect" {
		who = "the proxy"
	}
	for _, e := range networkErrors {
		if errors.Is(err, e.err) {
			return fmt.Sprintf(e.words, who)
		}
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return unanswered(who, context.DeadlineExceeded, took)
	}
	return "the call to " + who + " failed before there was an answer"
}

var networkErrors = []struct {
	err   error
	words string
}{
	{syscall.ECONNREFUSED, "%s refused the connection (connection refused)"},
	{syscall.ECONNRESET, "%s closed the connection before it answered"},
	{syscall.EPIPE, "%s closed the connection before it answered"},
	{io.EOF, "%s closed the connection before it answered"},
	{io.ErrUnexpectedEOF, "%s closed the connection before it answered"},
	{syscall.ENETUNREACH, "%s cannot be reached (network is unreachable)"},
	{syscall.EHOSTUNREACH, "%s cannot be reached (no route to host)"},
	{syscall.ENETDOWN, "%s cannot be reached (network is down)"},
	{syscall.EADDRNOTAVAIL, "%s cannot be reached (cannot assign requested address)"},
	{syscall.ETIMEDOUT, "%s cannot be reached (connection timed out)"},
}

func dnsText(host string, e *net.DNSError) string {
	switch {
	case e.IsNotFound:
		return "cannot resolve " + host + " (no such host)"
	case e.IsTimeout:
		return "cannot resolve " + host + " (no answer from DNS)"
	}
	return "cannot resolve " + host
}

// tlsText describes an error of TLS; it is empty for other errors.
func tlsText(host string, err error) string {
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok && e.Reason == x509.Expired {
		return "the certificate of " + host + " has expired or is not valid yet: check this machine's clock"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "the certificate of " + host + " is for another name"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the certificate of " + host + " is signed by an authority this machine does not know (a proxy that opens TLS?)"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "the certificate of " + host + " cannot be verified"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, http.ErrSchemeMismatch) {
		return host + " does not speak TLS"
	}
	// crypto/tls has no exported type for the other side's alert.
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		return host + " ended the TLS handshake"
	}
	return ""
}
