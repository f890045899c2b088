package ipc

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/approval"
	"github.com/legaltalent/kyc-agent/agent/peer"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

// A Prover knows the passphrase, which has to be typed for an approval besides the yes.
type Prover interface {
	// HasPassphrase reports whether there is one.
	HasPassphrase() bool
	// CheckPassphrase returns nil if p is the passphrase.
	CheckPassphrase(ctx context.Context, p Passphrase) error
}

// confirm waits until a person has approved what the program at the other end of c wants to
// do, if the environment or the socket needs that. What the socket's policy refuses anyway is
// not asked about.
func (h *handler) confirm(ctx context.Context, c *connection, use approval.Use) error {
	if !h.needsGrant(use) {
		return nil
	}
	if h.approvals == nil {
		return deniedError("this socket needs an approval, and this agent has none")
	}
	use.Socket = h.socket
	asker := peer.Of(nil) // of a test, which nothing is known of
	if c != nil && c.client != nil {
		asker = c.client
	}
	grant, err := h.approvals.Check(ctx, approval.Of(asker), use)
	if c != nil && err == nil {
		c.grant = grant
	}
	return err
}

func (h *handler) needsGrant(use approval.Use) bool {
	required := h.approvals != nil && h.approvals.Required(use.Environment)
	if h.restricted == nil {
		return required
	}
	p := h.restricted.Policy()
	return slices.Contains(p.Environments, use.Environment) && p.Allows(agent.Access(use.Kind)) && (p.Confirm || required)
}

// serviceFor returns the service for the requests of a connection, which hands out nothing that
// has to be approved first. Without it no request may get a token or AWS credentials.
func (h *handler) serviceFor(c *connection) agent.Service {
	anywhere := h.approvals != nil && h.approvals.RequiredAnywhere()
	if !anywhere && (h.restricted == nil || !h.restricted.Policy().Confirm) {
		return h.service
	}
	if c == nil {
		return &confirmedService{Service: h.service, handler: h}
	}
	c.confirmed = confirmedService{h.service, h, c}
	return &c.confirmed
}

type confirmedService struct {
	agent.Service
	handler *handler
	conn    *connection
}

// Token implements [agent.Service].
func (s *confirmedService) Token(ctx context.Context, req agent.TokenRequest) (agent.Token, error) {
	kind := approval.KindToken
	if req.Type != agent.TypeID {
		kind = approval.KindAccess
	}
	if err := s.confirm(ctx, &req, kind); err != nil {
		return agent.Token{}, err
	}
	return s.Service.Token(ctx, req)
}

// AWSCredentials implements [agent.Service].
func (s *confirmedService) AWSCredentials(ctx context.Context, req agent.TokenRequest) (agent.AWSCredentials, error) {
	if err := s.confirm(ctx, &req, approval.KindAWS); err != nil {
		return agent.AWSCredentials{}, err
	}
	return s.Service.AWSCredentials(ctx, req)
}

// confirm also fills in the environment: the default may be another one after the wait.
func (s *confirmedService) confirm(ctx context.Context, req *agent.TokenRequest, kind approval.Kind) error {
	if req.Environment == "" {
		st, err := s.Service.Status(ctx)
		if err != nil {
			return err
		}
		req.Environment = st.DefaultEnvironment
	}
	return s.handler.confirm(ctx, s.conn, approval.Use{Environment: req.Environment, Kind: kind})
}

// confirmForward is confirm for a request to the API. limited says that the approval is for some
// methods and paths, so that no header may name others.
func (h *handler) confirmForward(ctx context.Context, r *http.Request) (limited bool, err error) {
	use := approval.Use{Environment: r.Host, Kind: approval.KindAPI}
	if !h.needsGrant(use) {
		return false, nil
	}
	c, _ := connectionOf(r)
	use.Method, use.Path, use.Query = r.Method, r.URL.EscapedPath(), r.URL.RawQuery
	return true, h.confirm(ctx, c, use)
}

// An ApprovalList answers GET /v1/approvals.
type ApprovalList struct {
	approval.Listing
	// Passphrase is true if an approval needs the passphrase.
	Passphrase bool `json:"passphrase,omitempty"`
}

func (h *handler) serveApprovals(*request) (response, error) {
	if err := h.checkApprovals(); err != nil {
		return response{}, err
	}
	return jsonResponse(ApprovalList{h.approvals.List(), h.prover != nil && h.prover.HasPassphrase()}), nil
}

func (h *handler) checkApprovals() error {
	if h.approvals == nil {
		return wire.UsageError("this agent has no approvals")
	}
	return nil
}

func (h *handler) serveApprove(r *request) (response, error) {
	var life, passphrase string
	var terms approval.Terms
	err := (fields{"for": &life, "methods": &terms.Methods, "paths": &terms.Paths, "any": &terms.Any, "passphrase": &passphrase}).decode(r.body)
	if err != nil {
		return response{}, err
	}
	if terms.For, err = parseLife(life); err != nil {
		return response{}, err
	}
	if err := h.prove(r, passphrase); err != nil {
		return response{}, err
	}
	g, err := h.approvals.Approve(r.param, terms)
	return jsonResponse(g), err
}

func (h *handler) serveApproveUnit(r *request) (response, error) {
	var life, passphrase, kind string
	s := approval.Standing{Unit: peer.Unit{User: true}}
	system := false
	err := (fields{
		"unit": &s.Unit.Name, "system": &system, "environment": &s.Environment, "socket": &s.Socket, "kind": &kind,
		"methods": &s.Methods, "paths": &s.Paths, "for": &life, "passphrase": &passphrase,
	}).decode(r.body)
	if err != nil {
		return response{}, err
	}
	s.Unit.User, s.Kind = !system, approval.Kind(kind)
	if s.For, err = parseLife(life); err != nil {
		return response{}, err
	}
	if err := h.completeStanding(&s); err != nil {
		return response{}, err
	}
	if err := h.prove(r, passphrase); err != nil {
		return response{}, err
	}
	g, err := h.approvals.ApproveUnit(s)
	return jsonResponse(g), err
}

// completeStanding fills in the default environment, and refuses an environment and a socket that
// are not configured.
func (h *handler) completeStanding(s *approval.Standing) error {
	ctx, cancel := h.withTimeout(workTimeout)
	defer cancel()
	st, err := h.service.Status(ctx)
	if err != nil {
		return err
	}
	s.Environment = cmp.Or(s.Environment, st.DefaultEnvironment)
	if !slices.ContainsFunc(st.Environments, func(e agent.EnvironmentStatus) bool { return e.Name == s.Environment }) {
		return &agent.Error{Code: agent.CodeUnknownEnvironment, Op: "approve", Message: "no environment " + wire.Quote(s.Environment) + " is configured", Hint: "run: kyc-agentd list"}
	}
	if s.Socket != "" && !slices.ContainsFunc(st.Sockets, func(o agent.SocketStatus) bool { return o.Name == s.Socket }) {
		return wire.UsageError("no socket %s is configured", wire.Quote(s.Socket))
	}
	return nil
}

// prove checks the passphrase, if one is set.
func (h *handler) prove(r *request, passphrase string) error {
	if err := h.checkApprovals(); err != nil || h.prover == nil || !h.prover.HasPassphrase() {
		return err
	}
	ctx, cancel := h.withTimeout(workTimeout)
	defer cancel()
	return h.prover.CheckPassphrase(ctx, Passphrase{agent.NewSecret(passphrase), peerOf(r.http).PID})
}

func parseLife(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, wire.UsageError("for %s is not a duration; write 30m", wire.Quote(text))
	}
	return d, nil
}

func (h *handler) serveRevoke(r *request) (response, error) {
	if err := h.checkApprovals(); err != nil {
		return response{}, err
	}
	if err := h.approvals.Revoke(r.param); err != nil {
		return response{}, err
	}
	return jsonResponse(wire.LoginBody{State: wire.StateDone}), nil
}

func (h *handler) serveRevokeAll(*request) (response, error) {
	if err := h.checkApprovals(); err != nil {
		return response{}, err
	}
	n, err := h.approvals.RevokeAll()
	return jsonResponse(wire.RevokedBody{Revoked: n}), err
}
