package awstest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

const identityTarget = "AWSCognitoIdentityService."

// identityInput is the input of GetId and of GetCredentialsForIdentity.
type identityInput struct {
	IdentityPoolID string            `json:"IdentityPoolId"`
	IdentityID     string            `json:"IdentityId"`
	Logins         map[string]string `json:"Logins"`
	CustomRoleARN  string            `json:"CustomRoleArn"`
}

// serveIdentityPool answers a call of the identity pool.
func (s *Server) serveIdentityPool(w http.ResponseWriter, r *http.Request, body []byte) {
	operation := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), identityTarget)
	var in identityInput
	_ = json.Unmarshal(body, &in)
	token := in.Logins[s.provider()]
	f, fails := s.recordCall(r, operation)
	switch {
	case fails && f.Code == "":
		w.WriteHeader(max(f.Status, http.StatusBadRequest))
		_, _ = w.Write([]byte(f.Body))
		return
	case fails:
		answerJSON(w, nil, &refusal{f.Status, f.Code, f.Message + " " + token})
		return
	}
	out, refused := s.identityOutput(operation, in, token)
	answerJSON(w, out, refused)
}

func (s *Server) identityOutput(operation string, in identityInput, token string) (any, *refusal) {
	if operation != GetID && operation != GetCredentials {
		return nil, &refusal{0, "UnknownOperationException", "no such operation"}
	}
	if operation == GetID && in.IdentityPoolID != s.IdentityPoolID {
		return nil, &refusal{0, "ResourceNotFoundException", "IdentityPool '" + in.IdentityPoolID + "' not found."}
	}
	if token == "" {
		return nil, &refusal{0, "NotAuthorizedException", fmt.Sprintf("Token is not from a supported provider of this identity pool. %v", in.Logins)}
	}
	c, err := s.verify(token)
	switch {
	case err == errExpired:
		return nil, &refusal{0, "NotAuthorizedException", fmt.Sprintf("Invalid login token. Token expired: %d >= %d %s", c.Expiry, c.Expiry, token)}
	case err != nil:
		return nil, &refusal{0, "NotAuthorizedException", "Invalid login token. " + err.Error() + " " + token}
	}
	if operation == GetID {
		return map[string]string{"IdentityId": s.identityOf(c.Subject)}, nil
	}
	return s.identityCredentials(in, c)
}

func (s *Server) provider() string {
	_, name, _ := strings.Cut(s.pool.Issuer, "://")
	return name
}

// identityOf returns the identity of a user, and creates it if there is none.
func (s *Server) identityOf(subject string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.identities[subject] == "" {
		s.serial++
		s.identities[subject] = fmt.Sprintf("us-east-2:1d2c3b4a-0000-4000-8000-%012d", s.serial)
	}
	return s.identities[subject]
}

func (s *Server) identityCredentials(in identityInput, c claims) (any, *refusal) {
	s.mu.Lock()
	id := s.identities[c.Subject]
	others := id != in.IdentityID && slices.Contains(slices.Collect(maps.Values(s.identities)), in.IdentityID)
	s.mu.Unlock()
	switch {
	case others:
		return nil, &refusal{0, "NotAuthorizedException", "Access to Identity '" + in.IdentityID + "' is forbidden."}
	case id != in.IdentityID:
		return nil, &refusal{0, "ResourceNotFoundException", "Identity '" + in.IdentityID + "' not found."}
	case in.CustomRoleARN != "" && in.CustomRoleARN != s.RoleARN:
		return nil, &refusal{0, "InvalidParameterException", "Role " + in.CustomRoleARN + " is not allowed."}
	}
	key, made := s.issue(s.sessionARN("CognitoIdentityCredentials"))
	return map[string]any{"IdentityId": id, "Credentials": map[string]any{
		"AccessKeyId": key, "SecretKey": made.secret, "SessionToken": made.session, "Expiration": made.ends.Unix(),
	}}, nil
}

// sessionARN returns the ARN that GetCallerIdentity reports for a session of the role.
func (s *Server) sessionARN(session string) string {
	return "arn:aws:sts::" + s.Account + ":assumed-role/" + s.RoleARN[strings.LastIndex(s.RoleARN, "/")+1:] + "/" + session
}

func answerJSON(w http.ResponseWriter, out any, refused *refusal) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if refused != nil {
		w.Header().Set("X-Amzn-ErrorType", refused.code)
		w.WriteHeader(max(refused.status, http.StatusBadRequest))
		out = map[string]string{"__type": refused.code, "message": refused.message}
	}
	_ = json.NewEncoder(w).Encode(out)
}
