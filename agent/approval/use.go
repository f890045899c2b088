package approval

import "cmp"

// A Kind is what a grant is for.
type Kind string

// The kinds. One does not include another.
const (
	KindToken  Kind = "token"  // ID tokens, in every format and for every helper
	KindAccess Kind = "access" // access tokens, which can change the account
	KindAWS    Kind = "aws"    // AWS credentials
	KindAPI    Kind = "api"    // requests to the API, by method and path
)

// Kinds are all of them.
var Kinds = []Kind{KindToken, KindAccess, KindAWS, KindAPI}

// A Use is what a program wants to do.
type Use struct {
	Environment string `json:"environment"`
	Socket      string `json:"socket,omitempty"` // "" is the agent's own
	Kind        Kind   `json:"kind"`
	Method      string `json:"method,omitempty"` // of a request to the API
	Path        string `json:"path,omitempty"`   // the same, escaped as it is sent
	Query       string `json:"-"`
}

// String returns "a token of prod" or "POST /kyc at the API of prod, on the socket ai".
func (u Use) String() string {
	s := "a token of " + u.Environment
	switch u.Kind {
	case KindAccess:
		s = "the access token of " + u.Environment + " (it can change the account)"
	case KindAWS:
		s = "AWS credentials of " + u.Environment
	case KindAPI:
		s = cmp.Or(u.Method, "any method") + " " + cmp.Or(u.Path, "any path") + " at the API of " + u.Environment
	}
	if u.Socket != "" {
		s += ", on the socket " + u.Socket
	}
	return s
}
