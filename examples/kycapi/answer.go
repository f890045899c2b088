package kycapi

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"
)

// An Answer is the envelope of every answer but a 429. Data is that of the call.
type Answer[Data any] struct {
	Status  string   `json:"status"` // "success" or "error"
	Message string   `json:"message,omitempty"`
	Data    Data     `json:"data,omitempty"`
	Error   *Refusal `json:"error,omitempty"`
	Meta    Meta     `json:"meta"`
}

// A Refusal is why a call failed.
type Refusal struct {
	Type    string `json:"type"` // "ValidationError", …
	Message string `json:"message"`
	Code    string `json:"code"` // "VALIDATION_ERROR", …
}

// Meta is about the answer.
type Meta struct {
	RequestID string `json:"request_id"`
}

type userKey struct{}

func withUser(ctx context.Context, user string) context.Context {
	return context.WithValue(ctx, userKey{}, user)
}

// userOf returns the user of the token that came with r. The API knows its tenants by that,
// and never by a body.
func userOf(r *http.Request) string {
	user, _ := r.Context().Value(userKey{}).(string)
	return user
}

// read decodes r's JSON body into v. If it cannot, it answers with the reason and returns
// false. Unlike the API, perhaps, it refuses unknown fields, so that an example with a
// misspelt one fails.
func read(w http.ResponseWriter, r *http.Request, v any) bool {
	if t, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); t != "application/json" {
		refuse(w, http.StatusUnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE", "send Content-Type: application/json")
		return false
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		invalid(w, fmt.Sprintf("the body is not as expected: %v", err))
		return false
	}
	return true
}

func succeed(w http.ResponseWriter, data any) {
	send(w, http.StatusOK, Answer[any]{Status: "success", Data: data, Meta: newMeta()})
}

func invalid(w http.ResponseWriter, message string) {
	refuse(w, http.StatusBadRequest, "VALIDATION_ERROR", message)
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	why := &Refusal{Type: typeOf(status), Message: message, Code: code}
	send(w, status, Answer[any]{Status: "error", Error: why, Meta: newMeta()})
}

func typeOf(status int) string {
	if status == http.StatusBadRequest {
		return "ValidationError"
	}
	return strings.ReplaceAll(http.StatusText(status), " ", "") + "Error"
}

func send(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // fails only if the client has disconnected
}

func newMeta() Meta { return Meta{RequestID: newID()} }

// newID makes a random UUID.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func notFound(w http.ResponseWriter, r *http.Request) {
	refuse(w, http.StatusNotFound, "NOT_FOUND", "no such path: "+r.URL.Path)
}

func onlyMethods(allow string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", allow)
		refuse(w, http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", "use "+strings.ReplaceAll(allow, ", ", " or "))
	}
}
