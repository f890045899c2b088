package agent

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// An Exchanger turns an ID token into AWS credentials, for an environment that has an
// identity pool or a role. agent/awscreds is the real one, agenttest.Exchanger a
// scripted one.
//
// Errors are [*Error]s. CodeUnavailable is worth trying again at once. One that wraps
// [ErrIDTokenExpired] is about the ID token alone: the agent comes once more, with a newer
// one. No code is about the sign-in, so none of them ends it.
type Exchanger interface {
	Exchange(ctx context.Context, env Environment, idToken Secret) (AWSResult, error)
}

// ErrIDTokenExpired is what an [Exchanger]'s error wraps when AWS takes the ID token to be
// too old.
var ErrIDTokenExpired = errors.New("AWS takes the ID token to be expired")

// An AWSResult is what an exchange yields: temporary credentials of AWS's.
type AWSResult struct {
	AccessKeyID     string
	SecretAccessKey Secret
	SessionToken    Secret
	// Lifetime is what was left of them when AWS answered, by AWS's own clock.
	Lifetime time.Duration
}

// AWSCredentials are temporary credentials for the AWS APIs.
type AWSCredentials struct {
	Environment     string
	AccessKeyID     string
	SecretAccessKey Secret
	SessionToken    Secret
	// ExpiresAt is when to stop using them, on this machine's clock: a minute before AWS
	// does, as the SDKs sign with them to the last second.
	ExpiresAt time.Time
	// Warning is for a person: the sign-in ends soon. Mostly empty.
	Warning string
}

// AWSCredentials returns credentials made with the ID token of the sign-in, as [Agent.Token]
// returns that. They are in memory only, and gone with the sign-in.
func (a *Agent) AWSCredentials(ctx context.Context, req TokenRequest) (AWSCredentials, error) {
	s, err := a.session("aws", req.Environment)
	if err != nil {
		return AWSCredentials{}, err
	}
	h, err := s.aws.get(ctx, req.MinValid)
	if err != nil {
		return AWSCredentials{}, err
	}
	now := a.now()
	return AWSCredentials{
		Environment: s.name, AccessKeyID: h.aws.AccessKeyID, SecretAccessKey: h.aws.SecretAccessKey,
		SessionToken: h.aws.SessionToken, ExpiresAt: now.Add(h.left(now)), Warning: h.end.warning(s.name, now),
	}, nil
}

// The times of AWS credentials. botocore asks its helper again at every single request
// while less than 15 minutes are left (botocore.credentials, advisory refresh timeout), so
// none are handed out below that, plus a minute in which to use them, as long as there is
// a choice.
const (
	awsEarly   = time.Minute      // by which their end is reported early
	awsShort   = 16 * time.Minute // the life below which a request waits
	awsAhead   = 20 * time.Minute // the margin
	awsShortly = 25 * time.Minute // the life below which these are no more than a part of it
)

// newHeldAWS notes credentials asked for at the given instants.
func newHeldAWS(g AWSResult, wall, mono time.Time) *held {
	h := &held{aws: g, lifetime: g.Lifetime - min(awsEarly, g.Lifetime/2), wall: wall, mono: mono}
	ahead, _ := awsMargins(h.lifetime)
	h.spread = time.Duration(rand.Int64N(int64(ahead/5) + 1))
	return h
}

// awsMargins are those of credentials with that life. The shortest that STS makes live 15
// minutes.
func awsMargins(lifetime time.Duration) (ahead, short time.Duration) {
	if lifetime < awsShortly {
		return lifetime / 3, lifetime / 4
	}
	return awsAhead, awsShort
}

// fromIDToken is the source of AWS credentials.
type fromIDToken struct{ *session }

func (fromIDToken) margins(h *held) (ahead, short time.Duration) { return awsMargins(h.lifetime) }

func (fromIDToken) words() words {
	return words{
		op: "aws", life: "the life of these AWS credentials", going: "AWS has not answered yet",
		logOp: "aws", renewed: "AWS credentials renewed", failed: "no new AWS credentials",
	}
}

func (s fromIDToken) refusalLocked() *Error {
	if err := s.noAWS(s.env); err != nil {
		return err
	}
	if s.kept != nil && !s.kept.apiKey.IsZero() {
		return s.awsByKey()
	}
	return s.uselessLocked()
}

func (s *session) noAWS(env Environment) *Error {
	if env.HasAWS() && s.a.exchanger != nil {
		return nil
	}
	e := s.errorf("aws", CodeConfiguration, "nothing is configured that gives AWS credentials")
	e.Hint = "set identity_pool_id or aws_role_arn in [environments." + s.name + "] of config.toml, then run: kyc-agentd reload"
	return e
}

func (s *session) awsByKey() *Error {
	e := s.errorf("aws", CodeLoginRequired, "AWS credentials are made with a sign-in, and an API key is kept in its place")
	e.Hint = s.loginHint()
	return e
}

func (s fromIDToken) noteLocked(err *Error) {
	switch {
	case err == nil:
		s.aws.fail = failure{}
	case err.Code == CodeLoginRequired || err.Code == CodeLocked:
		// The sign-in's own trouble: the person's next move is not to be delayed.
		s.dropAWSLocked()
	default:
		s.aws.fail.add(err, s.a.now())
	}
}

// dropAWSLocked forgets the AWS credentials, and makes those in flight no longer fit. The
// caller holds mu.
func (s *session) dropAWSLocked() {
	s.awsEpoch++
	s.aws.held.Store(nil)
	s.aws.fail = failure{}
}

// renew begins again where the sign-in or the configuration changed under it.
func (s fromIDToken) renew(*held) *Error {
	for {
		s.mu.Lock()
		env, epoch, end := s.env, s.awsEpoch, endOf(s.kept, s.env)
		s.mu.Unlock()
		h, err := s.makeAWS(env)
		s.mu.Lock()
		fits := epoch == s.awsEpoch
		if fits && err == nil {
			h.end = end
			s.aws.held.Store(h)
		}
		s.mu.Unlock()
		if fits {
			return err
		}
	}
}

// makeAWS makes credentials with the ID token in memory, or with a newer one where AWS
// takes that to be expired.
func (s fromIDToken) makeAWS(env Environment) (*held, *Error) {
	if err := s.noAWS(env); err != nil {
		return nil, err
	}
	token, err := s.idToken(0)
	if err != nil {
		return nil, err
	}
	h, err := s.exchange(env, token.token)
	if err != nil && errors.Is(err, ErrIDTokenExpired) {
		newer, none := s.idToken(token.left(s.a.now()) + time.Second)
		if none != nil {
			return nil, err
		}
		h, err = s.exchange(env, newer.token)
	}
	return h, err
}

// idToken is the ID token of a sign-in.
func (s fromIDToken) idToken(minValid time.Duration) (*held, *Error) {
	ctx, cancel := context.WithTimeout(s.a.life, flightTimeout)
	defer cancel()
	h, err := s.get(ctx, minValid)
	switch {
	case err != nil:
		return nil, s.wrap("aws", err)
	case h.endless:
		return nil, s.awsByKey()
	}
	return h, nil
}

func (s fromIDToken) exchange(env Environment, idToken Secret) (h *held, err *Error) {
	ctx, cancel := context.WithTimeout(s.a.life, flightTimeout)
	defer cancel()
	err = insist(ctx, func(ctx context.Context) *Error {
		ctx, cancel := context.WithTimeout(ctx, tryTimeout)
		defer cancel()
		wall, mono := s.a.now(), time.Now()
		g, err := s.a.exchanger.Exchange(ctx, env, idToken)
		if err != nil {
			return s.wrap("aws", err)
		}
		h = newHeldAWS(g, wall, mono)
		return nil
	})
	return h, err
}

// awsStatusLocked is what a person should know of them. The caller holds mu.
func (s *session) awsStatusLocked(st *EnvironmentStatus, now time.Time) {
	if h := s.aws.held.Load(); h.left(now) > 0 {
		st.AWSExpiresAt = now.Add(h.left(now)).UTC().Truncate(time.Second)
	}
	if f := s.aws.fail; f.err != nil {
		st.AWSLastError, st.AWSLastErrorAt = f.err.Error(), f.at.UTC().Truncate(time.Second)
	}
}
