package ipc

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/approval"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

// Approvals returns the requests that wait for an approval, and the grants that hold.
func (c *Client) Approvals(ctx context.Context) (ApprovalList, error) {
	var list ApprovalList
	_, err := c.do(ctx, call{op: "approvals", method: http.MethodGet, path: "/v1/approvals", limit: quickCall}, &list)
	sanitizeText(reflect.ValueOf(&list).Elem())
	return list, err
}

// Approve answers a request of Approvals with yes.
func (c *Client) Approve(ctx context.Context, id string, terms approval.Terms, passphrase agent.Secret) (approval.Grant, error) {
	if err := approval.CheckCode(id); err != nil {
		return approval.Grant{}, err
	}
	in := map[string]any{"for": life(terms.For), "methods": terms.Methods, "paths": terms.Paths, "any": terms.Any, "passphrase": passphrase.Reveal()}
	return c.grant(ctx, "/v1/approvals/"+url.PathEscape(id), in)
}

// ApproveUnit allows a unit something each time it runs.
func (c *Client) ApproveUnit(ctx context.Context, s approval.Standing, passphrase agent.Secret) (approval.Grant, error) {
	in := map[string]any{
		"unit": s.Unit.Name, "system": !s.Unit.User, "environment": s.Environment, "socket": s.Socket, "kind": string(s.Kind),
		"methods": s.Methods, "paths": s.Paths, "for": life(s.For), "passphrase": passphrase.Reveal(),
	}
	return c.grant(ctx, "/v1/approvals", in)
}

func (c *Client) grant(ctx context.Context, path string, in map[string]any) (approval.Grant, error) {
	for name, value := range in {
		if reflect.ValueOf(value).IsZero() {
			delete(in, name)
		}
	}
	body, err := json.Marshal(in)
	call := call{op: "approve", method: http.MethodPost, path: path, body: body, limit: workCall}
	if err != nil {
		return approval.Grant{}, call.wrap(err)
	}
	var g approval.Grant
	_, err = c.do(ctx, call, &g)
	sanitizeText(reflect.ValueOf(&g).Elem())
	return g, err
}

func life(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

// Revoke takes a grant back, or answers a request with no.
func (c *Client) Revoke(ctx context.Context, id string) error {
	if err := approval.CheckCode(id); err != nil {
		return err
	}
	_, err := c.do(ctx, call{op: "revoke", method: http.MethodDelete, path: "/v1/approvals/" + url.PathEscape(id), limit: quickCall}, new(wire.LoginBody))
	return err
}

// RevokeAll takes all grants back, and answers all requests with no. It returns how many there
// were.
func (c *Client) RevokeAll(ctx context.Context) (int, error) {
	var done wire.RevokedBody
	_, err := c.do(ctx, call{op: "revoke", method: http.MethodDelete, path: "/v1/approvals", limit: quickCall}, &done)
	return done.Revoked, err
}
