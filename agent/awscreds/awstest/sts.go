package awstest

import (
	"cmp"
	"encoding/xml"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const stsNamespace = "https://sts.amazonaws.com/doc/2011-06-15/"

// serveSTS answers a call of STS.
func (s *Server) serveSTS(w http.ResponseWriter, r *http.Request, body []byte) {
	form, _ := url.ParseQuery(string(body))
	operation := form.Get("Action")
	f, fails := s.recordCall(r, operation)
	switch {
	case fails && f.Code == "":
		w.WriteHeader(max(f.Status, http.StatusBadRequest))
		_, _ = w.Write([]byte(f.Body))
		return
	case fails:
		refuseXML(w, &refusal{f.Status, f.Code, f.Message + " " + form.Get("WebIdentityToken")})
		return
	}
	switch operation {
	case AssumeRoleWithWebIdentity:
		s.assumeRole(w, form)
	case GetCallerIdentity:
		s.callerIdentity(w, r, body)
	default:
		refuseXML(w, &refusal{0, "InvalidAction", "Could not find operation " + operation})
	}
}

func (s *Server) assumeRole(w http.ResponseWriter, form url.Values) {
	token := form.Get("WebIdentityToken")
	seconds, _ := strconv.Atoi(cmp.Or(form.Get("DurationSeconds"), "3600")) // AWS's default
	c, err := s.verify(token)
	name := form.Get("RoleSessionName")
	switch {
	case err == errExpired:
		refuseXML(w, &refusal{0, "ExpiredTokenException", "Token expired: current date/time must be before the expiration date/time " + token})
	case err != nil:
		refuseXML(w, &refusal{0, "InvalidIdentityToken", err.Error() + " " + token})
	case len(name) < 2 || len(name) > 64 || seconds < 900 || seconds > 43200:
		refuseXML(w, &refusal{0, "ValidationError", "RoleSessionName or DurationSeconds"})
	case form.Get("RoleArn") != s.RoleARN:
		refuseXML(w, &refusal{http.StatusForbidden, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity " + token})
	default:
		id, made := s.issue(s.sessionARN(name))
		writeXML(w, http.StatusOK, assumeRoleResponse{
			Namespace: stsNamespace, AccessKeyID: id, SecretAccessKey: made.secret, SessionToken: made.session,
			Expiration: made.ends.UTC().Format(time.RFC3339), Subject: c.Subject, ARN: made.arn, RoleID: "AROAKYCTEST:" + name,
		})
	}
}

type assumeRoleResponse struct {
	XMLName         xml.Name `xml:"AssumeRoleWithWebIdentityResponse"`
	Namespace       string   `xml:"xmlns,attr"`
	AccessKeyID     string   `xml:"AssumeRoleWithWebIdentityResult>Credentials>AccessKeyId"`
	SecretAccessKey string   `xml:"AssumeRoleWithWebIdentityResult>Credentials>SecretAccessKey"`
	SessionToken    string   `xml:"AssumeRoleWithWebIdentityResult>Credentials>SessionToken"`
	Expiration      string   `xml:"AssumeRoleWithWebIdentityResult>Credentials>Expiration"`
	Subject         string   `xml:"AssumeRoleWithWebIdentityResult>SubjectFromWebIdentityToken"`
	ARN             string   `xml:"AssumeRoleWithWebIdentityResult>AssumedRoleUser>Arn"`
	RoleID          string   `xml:"AssumeRoleWithWebIdentityResult>AssumedRoleUser>AssumedRoleId"`
}

func (s *Server) callerIdentity(w http.ResponseWriter, r *http.Request, body []byte) {
	c, refused := s.signedBy(r, body)
	if refused != nil {
		refuseXML(w, refused)
		return
	}
	writeXML(w, http.StatusOK, callerIdentityResponse{Namespace: stsNamespace, ARN: c.arn, UserID: "AROAKYCTEST", Account: s.Account})
}

type callerIdentityResponse struct {
	XMLName   xml.Name `xml:"GetCallerIdentityResponse"`
	Namespace string   `xml:"xmlns,attr"`
	ARN       string   `xml:"GetCallerIdentityResult>Arn"`
	UserID    string   `xml:"GetCallerIdentityResult>UserId"`
	Account   string   `xml:"GetCallerIdentityResult>Account"`
}

type errorResponse struct {
	XMLName   xml.Name `xml:"ErrorResponse"`
	Namespace string   `xml:"xmlns,attr"`
	Type      string   `xml:"Error>Type"`
	Code      string   `xml:"Error>Code"`
	Message   string   `xml:"Error>Message"`
	RequestID string   `xml:"RequestId"`
}

func refuseXML(w http.ResponseWriter, refused *refusal) {
	writeXML(w, max(refused.status, http.StatusBadRequest), errorResponse{
		Namespace: stsNamespace, Type: "Sender", Code: refused.code, Message: refused.message, RequestID: "0a1b2c3d",
	})
}

func writeXML(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	_ = xml.NewEncoder(w).Encode(v)
}
