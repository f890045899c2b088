package agent

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// An Exchanger exchanges an ID token for AWS credentials, for an environment that has an
// identity pool or a role. awscreds.Exchanger does it at AWS; agenttest.Authenticator is a
// scripted one for tests.
//
// Errors are [*Error]s. After CodeUnavailable the agent retries at once. An error that wraps
// [ErrIDTokenExpired] is about the ID token alone: the agent calls once more, with a newer
// one. No code is about the sign-in, so none of them ends it.
type Exchanger interface {
	Exchange(ctx context.Context, env Environment, idToken Secret) (AWSResult, error)
}

// ErrIDTokenExpired is wrapped by the error of an [Exchanger] if AWS considers the ID token
// too old.
var ErrIDTokenExpired = errors.New("AWS considers the ID token expired")

// An AWSResult is what an exchange yields: temporary AWS credentials.
type AWSResult struct {
	AccessKeyID     string
	SecretAccessKey Secret
	SessionToken    Secret
	// Lifetime is how long they were still valid when AWS answered, by AWS's clock.
	Lifetime time.Duration
}

// AWSCredentials are temporary credentials for the AWS APIs.
type AWSCredentials struct {
	Environment     string
	User, Subject   string // as in Token
	AccessKeyID     string
	SecretAccessKey Secret
	SessionToken    Secret
	// ExpiresAt is when to stop using them, on this machine's clock: a minute before they
	// expire at AWS, because the SDKs sign with them to the last second.
	ExpiresAt time.Time
	// Warning is for a person: the sign-in ends soon. Usually empty.
	Warning string
}

// AWSCredentials returns credentials made with the ID token of the sign-in. It caches and
// refreshes them as [Agent.Token] does the ID token, in memory only, and removes them when
// the sign-in ends.
func (a *Agent) AWSCredentials(ctx context.Context, req TokenRequest) (AWSCredentials, error) {
	s, err := a.session("aws", req.Environment)
	if err != nil {
		return AWSCredentials{}, err
	}
	found, err := s.aws.get(ctx, req.MinValid)
	if err != nil {
		return AWSCredentials{}, err
	}
	cred := found.cred
	if err := s.checkUser("aws", req.User, cred); err != nil {
		return AWSCredentials{}, err
	}
	return AWSCredentials{
		Environment: s.name, User: cred.user, Subject: cred.subject, AccessKeyID: cred.aws.AccessKeyID, SecretAccessKey: cred.aws.SecretAccessKey,
		SessionToken: cred.aws.SessionToken, ExpiresAt: found.end(), Warning: cred.signInExpiry.warning(s.name, found.at),
	}, nil
}

// The windows of AWS credentials. While less than 15 minutes are left, botocore calls its
// helper again at every single request (botocore.credentials, advisory refresh timeout).
// So none are handed out below that, plus a minute in which to use them, unless newer ones
// cannot be had.
const (
	awsExpiryMargin    = time.Minute      // how much earlier than at AWS their end is reported
	awsMandatoryWindow = 16 * time.Minute // the remaining life below which a request waits
	awsAdvisoryWindow  = 20 * time.Minute // how long before the end a refresh is due
	awsShortLifetime   = 25 * time.Minute // below this lifetime, the windows are a fraction of it
)

// newCachedAWS returns the credentials of res, which were requested at wall and mono.
func newCachedAWS(res AWSResult, wall, mono time.Time) *cachedCredential {
	cred := &cachedCredential{aws: res, lifetime: res.Lifetime - min(awsExpiryMargin, res.Lifetime/2), requestedWall: wall, requestedMono: mono}
	advisory, _ := awsWindows(cred.lifetime)
	cred.jitter = time.Duration(rand.Int64N(int64(advisory/5) + 1))
	return cred
}

// awsWindows returns the windows of credentials with that lifetime. The shortest that STS
// issues is 15 minutes.
func awsWindows(lifetime time.Duration) (advisory, mandatory time.Duration) {
	if lifetime < awsShortLifetime {
		return lifetime / 3, lifetime / 4
	}
	return awsAdvisoryWindow, awsMandatoryWindow
}

// awsProvider makes AWS credentials from the session's ID token.
type awsProvider struct{ session *session }

func (awsProvider) windows(cred *cachedCredential) (advisory, mandatory time.Duration) {
	return awsWindows(cred.lifetime)
}

func (awsProvider) messages() messages {
	return messages{
		op: "aws", lifetime: "the life of these AWS credentials", pending: "AWS has not answered yet",
		logOp: "aws", refreshed: "AWS credentials refreshed", failed: "AWS credentials not refreshed",
	}
}

func (awsProvider) unaskedDue(time.Time) (time.Duration, bool) { return 0, false }

func (p awsProvider) refusalLocked() *Error {
	s := p.session
	if err := s.checkAWSConfigured(s.env); err != nil {
		return err
	}
	if s.signIn != nil && !s.signIn.apiKey.IsZero() {
		return s.apiKeyAWSError()
	}
	return s.unusableReasonLocked()
}

func (s *session) checkAWSConfigured(env Environment) *Error {
	if env.HasAWS() && s.agent.exchanger != nil {
		return nil
	}
	e := s.errorf("aws", CodeConfiguration, "AWS credentials are not configured")
	e.Hint = "set identity_pool_id or aws_role_arn in [environments." + s.name + "] of config.toml, then run: kyc-agentd reload"
	return e
}

func (s *session) apiKeyAWSError() *Error {
	e := s.errorf("aws", CodeLoginRequired, "AWS credentials need a sign-in, and an API key is stored instead")
	e.Hint = s.loginHint()
	return e
}

func (p awsProvider) recordLocked(err *Error) {
	s := p.session
	switch {
	case err == nil:
		s.aws.backoff = backoff{}
	case err.repeated:
	case err.Code == CodeLoginRequired || err.Code == CodeLocked:
		// This is about the sign-in, and what the person does next must not be delayed.
		s.clearAWSLocked()
	default:
		s.aws.backoff.recordFailure(err, s.agent.now())
	}
}

// clearAWSLocked removes the AWS credentials from memory, and makes a refresh in progress
// start again. The caller holds mu.
func (s *session) clearAWSLocked() {
	s.awsEpoch++
	s.aws.current.Store(nil)
	s.aws.backoff = backoff{}
}

// refresh starts again if the sign-in or the configuration changed while it ran.
func (p awsProvider) refresh(*cachedCredential) *Error {
	s := p.session
	for {
		s.mu.Lock()
		env, epoch, signIn := s.env, s.awsEpoch, s.signIn
		s.mu.Unlock()
		cred, err := p.newCredentials(env)
		s.mu.Lock()
		fits := epoch == s.awsEpoch
		if fits && err == nil && s.agent.lockedError() == nil {
			if signIn != nil {
				cred.describe(signIn, env)
			}
			s.aws.current.Store(cred)
		}
		s.mu.Unlock()
		if fits {
			return err
		}
	}
}

// newCredentials exchanges the ID token in memory, or a newer one if AWS considers that
// expired.
func (p awsProvider) newCredentials(env Environment) (*cachedCredential, *Error) {
	if err := p.session.checkAWSConfigured(env); err != nil {
		return nil, err
	}
	token, err := p.idToken(0)
	if err != nil {
		return nil, err
	}
	cred, err := p.exchange(env, token.token)
	if err != nil && errors.Is(err, ErrIDTokenExpired) {
		newer, failed := p.idToken(token.left(p.session.agent.now()) + time.Second)
		if failed != nil {
			return nil, err
		}
		cred, err = p.exchange(env, newer.token)
	}
	return cred, err
}

// idToken returns the ID token of the sign-in, or an error if an API key is stored instead.
func (p awsProvider) idToken(minValid time.Duration) (*cachedCredential, *Error) {
	s := p.session
	ctx, cancel := context.WithTimeout(s.agent.softCtx, allExchangeTimeout)
	defer cancel()
	found, err := s.token.get(ctx, minValid)
	switch {
	case err != nil:
		return nil, s.wrap("aws", err)
	case found.cred.neverExpires:
		return nil, s.apiKeyAWSError()
	}
	return found.cred, nil
}

func (p awsProvider) exchange(env Environment, idToken Secret) (cred *cachedCredential, err *Error) {
	s := p.session
	ctx, cancel := context.WithTimeout(s.agent.softCtx, allExchangeTimeout)
	defer cancel()
	always := func(*Error) bool { return true }
	err = withRetries(ctx, maxAttempts, always, func(ctx context.Context) *Error {
		ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
		defer cancel()
		wall, mono := s.agent.now(), time.Now()
		res, err := s.agent.exchanger.Exchange(ctx, env, idToken)
		if err != nil {
			return s.wrap("aws", err)
		}
		cred = newCachedAWS(res, wall, mono)
		return nil
	})
	return cred, err
}

// awsStatusLocked adds the AWS credentials to st. The caller holds mu.
func (s *session) awsStatusLocked(st *EnvironmentStatus, now time.Time) {
	if cred := s.aws.current.Load(); cred.left(now) > 0 {
		st.AWSExpiresAt = now.Add(cred.left(now)).UTC().Truncate(time.Second)
	}
	if f := s.aws.backoff; f.err != nil {
		st.AWSLastError, st.AWSLastErrorAt = f.err.Error(), f.at.UTC().Truncate(time.Second)
	}
}
