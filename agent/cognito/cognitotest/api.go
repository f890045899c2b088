package cognitotest

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// This file serves the API in AWS's JSON 1.1 protocol: POST / with the operation in
// X-Amz-Target. None of the operations needs a signature.

const (
	target      = "AWSCognitoIdentityProviderService."
	contentType = "application/x-amz-json-1.1"
	maxBody     = 128 << 10
)

// apiError is an error answer. All of Cognito's client errors are HTTP 400.
type apiError struct {
	Code    string `json:"__type"`
	Message string `json:"message"`
}

func (e apiError) Error() string { return e.Code + ": " + e.Message }

func notAuthorized(message string) error { return apiError{"NotAuthorizedException", message} }

func invalidParameter(message string) error { return apiError{"InvalidParameterException", message} }

// operations are the calls that the pool answers.
var operations = map[string]func(*Server, []byte) (any, error){
	"InitiateAuth":              operation((*Server).initiateAuth),
	"RespondToAuthChallenge":    operation((*Server).respond),
	"GetTokensFromRefreshToken": operation((*Server).refreshTokens),
	"RevokeToken":               operation((*Server).revokeToken),
	"GlobalSignOut":             operation((*Server).globalSignOut),
	"GetUser":                   operation((*Server).getUser),
	"AssociateSoftwareToken":    operation((*Server).associateToken),
	"VerifySoftwareToken":       operation((*Server).verifyToken),
	"ConfirmDevice":             operation((*Server).confirmDevice),
	"UpdateDeviceStatus":        operation((*Server).updateDevice),
	"ForgetDevice":              operation((*Server).forgetDevice),
	"ForgotPassword":            operation((*Server).forgotPassword),
	"ConfirmForgotPassword":     operation((*Server).confirmForgotPassword),
	"ConfirmSignUp":             operation((*Server).confirmSignUp),
	"ResendConfirmationCode":    operation((*Server).resendCode),
	"ChangePassword":            operation((*Server).changePassword),
}

func operation[In any](f func(*Server, In) (any, error)) func(*Server, []byte) (any, error) {
	return func(s *Server, body []byte) (any, error) {
		var in In
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, apiError{Code: "SerializationException"}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		return f(s, in)
	}
}

func (s *Server) serveAPI(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		s.answer(w, nil, apiError{Code: "SerializationException"})
		return
	}
	op := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), target)
	call := newCall(op, r, body)
	s.calls.record(s, call)
	s.answerWithFaults(w, r, call, func() (int, string, []byte) {
		out, err := s.process(op, body)
		return s.render(out, err)
	})
}

func (s *Server) process(op string, body []byte) (any, error) {
	f, ok := operations[op]
	if !ok {
		return nil, apiError{Code: "UnknownOperationException"}
	}
	return f(s, body)
}

// render returns the status, error code and body of an answer.
func (s *Server) render(out any, err error) (int, string, []byte) {
	if err == nil {
		return http.StatusOK, "", mustJSON(out)
	}
	e, _ := errors.AsType[apiError](err) // operations have no others
	return http.StatusBadRequest, e.Code, mustJSON(e)
}

func (s *Server) answer(w http.ResponseWriter, out any, err error) {
	status, code, body := s.render(out, err)
	s.write(w, status, contentType, code, body)
}

func (s *Server) write(w http.ResponseWriter, status int, typ, code string, body []byte) {
	s.mu.Lock()
	date := s.clock()
	s.mu.Unlock()
	h := w.Header()
	h.Set("Date", date.UTC().Format(http.TimeFormat))
	h.Set("Content-Type", typ)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Amzn-Requestid", newUUID())
	if code != "" {
		h.Set("X-Amzn-Errortype", code+":")
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("cognitotest: " + err.Error()) // only User.Claims can cause this
	}
	return b
}
