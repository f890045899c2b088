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
	"regexp"
	"syscall"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/legaltalent/kyc-agent/internal/proxyconnect"
)

// A Failure is what became of a call, in our own words and without anything that
// the server could have put there. It is safe to log.
type Failure struct {
	Call       Call
	Code       string // AWS's error code; empty when the answer had none
	Status     int    // 0 when there was no answer
	Stage      Stage  // the call ended that got no answer
	RequestID  string
	RetryAfter time.Duration
	Text       string // where Code is empty: "no answer from … within 10 s"
	Cause      error  // context.Canceled, context.DeadlineExceeded or nil
}

// A Stage is how far a call came that got no answer.
type Stage string

// The places, from near to far.
const (
	StageProxy      Stage = "proxy"      // which refused, or was not there
	StageDNS        Stage = "dns"        // which does not know the name, or did not answer
	StageConnection Stage = "connection" // refused, cut, unreachable, or out of time
	StageTLS        Stage = "tls"        // none, or a certificate that cannot be trusted
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

// Error is for logs.
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

// Unwrap returns the context's error where that ended the call.
func (f *Failure) Unwrap() error { return f.Cause }

// newFailure reduces an error of the SDK to a Failure. message is the server's own: to be
// looked into for what it means, and shown to nobody.
func newFailure(ctx context.Context, c Call, took time.Duration, x *Exchange, err error) (f *Failure, message string) {
	f = &Failure{Call: c, Status: x.Status, RetryAfter: x.RetryAfter, RequestID: requestID(err)}
	// By code and not by type: a code that is not modelled for the operation arrives
	// as a generic error, whatever the SDK has types for.
	api, ok := errors.AsType[smithy.APIError](err)
	if ok && codePattern.MatchString(api.ErrorCode()) && api.ErrorCode() != "UnknownError" {
		f.Code = api.ErrorCode()
		return f, api.ErrorMessage()
	}
	f.Explain(ctx, took, err)
	return f, ""
}

// codePattern is what an error code may look like: a name, nothing that could
// carry a token or a terminal's control sequence.
var codePattern = regexp.MustCompile(`^[A-Z][A-Za-z]{2,63}$`)

var requestIDPattern = regexp.MustCompile(`^[0-9A-Za-z-]{1,64}$`)

func requestID(err error) string {
	res, ok := errors.AsType[*awshttp.ResponseError](err)
	if !ok || !requestIDPattern.MatchString(res.RequestID) {
		return ""
	}
	return res.RequestID
}

// Explain fills in why there is no error code, after a call that took that long.
func (f *Failure) Explain(ctx context.Context, took time.Duration, err error) {
	switch {
	case errors.Is(err, errAnswerTooLong):
		f.Text = f.Call.Host + " sent an answer above 1 MiB"
	case ctx.Err() != nil:
		f.Cause, f.Stage = ctx.Err(), StageConnection
		f.Text = unanswered(f.Call.Host, ctx.Err(), took)
	case f.Status >= 200 && f.Status < 300:
		f.Text = fmt.Sprintf("%s sent half an answer, or one that is not %s", f.Call.Host, f.Call.Format)
	case f.Status != 0:
		f.Text = fmt.Sprintf("%s answered HTTP %d with something that is not %s", f.Call.Host, f.Status, f.expectedAnswer(err))
	default:
		f.Text, f.Stage = networkText(f.Call.Host, took, err), stageOf(err)
	}
}

func (f *Failure) expectedAnswer(err error) string {
	if _, ok := errors.AsType[smithy.APIError](err); ok {
		return "an error of " + f.Call.Service + "'s"
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

// networkText says in words why a call got no answer. The texts of net/http are
// not used: some quote what the other side sent.
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

// tlsText is empty when err is not about TLS.
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
