package cognito

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
	"strings"
	"syscall"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
)

// A failure is what became of a call, in our own words and without anything that
// the server could have put there. It is safe to log.
type failure struct {
	call       string // "InitiateAuth"
	host       string // "cognito-idp.us-east-2.amazonaws.com"
	code       string // Cognito's error code; empty when the answer had none
	reason     reason // what its message gave away
	status     int    // 0 when there was no answer
	requestID  string
	retryAfter time.Duration
	words      string // where code is empty: "no answer from … within 10 s"
	cause      error  // context.Canceled, context.DeadlineExceeded or nil
}

// Error is for logs.
func (f *failure) Error() string {
	s := f.call + ": " + f.words
	if f.code != "" {
		s = fmt.Sprintf("%s: %s, HTTP %d", f.call, f.code, f.status)
	}
	if f.requestID != "" {
		s += ", request " + f.requestID
	}
	return s
}

// Unwrap returns the context's error where that ended the call.
func (f *failure) Unwrap() error { return f.cause }

// newFailure reduces an error of the SDK to a failure.
func newFailure(ctx context.Context, call, host string, took time.Duration, x *exchange, err error) *failure {
	f := &failure{call: call, host: host, status: x.status, retryAfter: x.retryAfter, requestID: requestID(err)}
	// By code and not by type: a code that is not modelled for the operation arrives
	// as a generic error, whatever the SDK has types for.
	api, ok := errors.AsType[smithy.APIError](err)
	if ok && codePattern.MatchString(api.ErrorCode()) && api.ErrorCode() != "UnknownError" {
		f.code = api.ErrorCode()
		f.reason = reasonOf(api.ErrorMessage())
		return f
	}
	f.explain(ctx, took, err)
	return f
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

// A reason is what one of Cognito's messages says beyond its code. It changes the
// words of an error, and never whether a sign-in is dead; with one exception:
// about secrets of the app client Cognito says NotAuthorizedException, too.
type reason string

const (
	reasonSecret    reason = "secret"    // the app client has a secret, and none is configured
	reasonWrong     reason = "wrong"     // the app client has another secret
	reasonNoSecret  reason = "no-secret" // the app client has none
	reasonAttempts  reason = "attempts"  // locked after too many bad passwords
	reasonDisabled  reason = "disabled"  // the user is disabled
	reasonTemporary reason = "temporary" // the temporary password has expired
	reasonFlow      reason = "flow"      // the app client does not allow the flow
	reasonExpired   reason = "expired"   // the session of a challenge is too old

	// What a new password lacks, or has too much of.
	reasonShort  reason = "short"
	reasonLong   reason = "long"
	reasonLower  reason = "lower"
	reasonUpper  reason = "upper"
	reasonDigit  reason = "digit"
	reasonSymbol reason = "symbol"

	// Why an account cannot be mended.
	reasonState     reason = "state"     // its state does not allow it
	reasonConfirmed reason = "confirmed" // it is confirmed already
	reasonAddress   reason = "address"   // there is nowhere to send a code to
)

// The messages as seen in the field; AWS documents none of them.
var reasons = []struct {
	part   string // in lower case
	reason reason
}{
	{"is not configured for secret", reasonNoSecret},
	{"secret hash", reasonSecret},
	{"secrethash", reasonSecret},
	{"secret_hash", reasonSecret},
	{"is configured for secret", reasonSecret},
	{"is configured with secret", reasonSecret},
	{"verify secret for client", reasonSecret},
	{"password attempts exceeded", reasonAttempts},
	{"user is disabled", reasonDisabled},
	{"temporary password has expired", reasonTemporary},
	{"flow not enabled", reasonFlow},
	{"method not supported", reasonFlow},
	{"is not enabled for the client", reasonFlow},
	{"session is expired", reasonExpired},
	{"not long enough", reasonShort},
	{"password must not be longer", reasonLong},
	{"must have lowercase", reasonLower},
	{"must have uppercase", reasonUpper},
	{"must have numeric", reasonDigit},
	{"must have symbol", reasonSymbol},
	{"cannot be reset in the current state", reasonState},
	{"current status is confirmed", reasonConfirmed},
	{"is already confirmed", reasonConfirmed},
	{"no registered/verified email or phone", reasonAddress},
	{"auto verification not turned on", reasonAddress},
}

// aboutSecret reports whether f is about the app client's secret: a matter of the
// configuration, whatever its code.
func (f *failure) aboutSecret() bool {
	return f.reason == reasonSecret || f.reason == reasonWrong || f.reason == reasonNoSecret
}

func reasonOf(message string) reason {
	message = strings.ToLower(message)
	for _, r := range reasons {
		if strings.Contains(message, r.part) {
			return r.reason
		}
	}
	return ""
}

// explain fills in why there is no error code.
func (f *failure) explain(ctx context.Context, took time.Duration, err error) {
	switch {
	case errors.Is(err, errTooLong):
		f.words = f.host + " sent an answer above 1 MiB"
	case ctx.Err() != nil:
		f.cause = ctx.Err()
		f.words = ended(f.host, ctx.Err(), took)
	case f.status >= 200 && f.status < 300:
		f.words = fmt.Sprintf("%s sent half an answer, or one that is not JSON", f.host)
	case f.status != 0:
		f.words = fmt.Sprintf("%s answered HTTP %d with something that is not %s", f.host, f.status, answerForm(err))
	default:
		f.words = unreachable(f.host, took, err)
	}
}

func answerForm(err error) string {
	if _, ok := errors.AsType[smithy.APIError](err); ok {
		return "an error of Cognito's"
	}
	return "JSON"
}

func ended(host string, cause error, took time.Duration) string {
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

// unreachable says in words why a call got no answer. The texts of net/http are
// not used: some quote what the other side sent.
func unreachable(host string, took time.Duration, err error) string {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dnsWords(host, dns)
	}
	if proxy, ok := errors.AsType[*proxyError](err); ok {
		return fmt.Sprintf("the proxy answered HTTP %d when asked for %s", proxy.status, host)
	}
	if s := certificateWords(host, err); s != "" {
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
		return ended(who, context.DeadlineExceeded, took)
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
	{syscall.ETIMEDOUT, "%s cannot be reached (connection timed out)"},
}

func dnsWords(host string, e *net.DNSError) string {
	switch {
	case e.IsNotFound:
		return "cannot resolve " + host + " (no such host)"
	case e.IsTimeout:
		return "cannot resolve " + host + " (no answer from DNS)"
	}
	return "cannot resolve " + host
}

// certificateWords is empty when err is not about TLS.
func certificateWords(host string, err error) string {
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
