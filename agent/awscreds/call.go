package awscreds

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/aws/smithy-go"

	"github.com/legaltalent/kyc-agent/internal/lazyregexp"
)

// The three calls are written here rather than with the clients of the AWS SDK: none is signed
// and none is repeated, which is what those clients are for, while they make the program 0.8 MB
// larger and have two more tables of all endpoints of AWS built at each start, before main.

// A request is one call of an API.
type request struct {
	service     string // the first label of its host
	region      string
	contentType string
	target      string // X-Amz-Target, or ""
	body        []byte
	refused     func(http.Header, []byte) error // reads an answer that is an error
}

// send returns the body of an answer to r. An answer with another status than 2xx is an error,
// a [smithy.APIError] if it is one of the API's.
func (o *operation) send(ctx context.Context, r request) ([]byte, error) {
	endpoint, err := o.endpoint(r.service, r.region)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, bytes.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", r.contentType)
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "kyc-agent")
	if r.target != "" {
		req.Header.Set("X-Amz-Target", r.target)
	}
	res, err := o.client().Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return nil, r.refused(res.Header, body)
	}
	return body, nil
}

// regionPattern matches what may stand in the name of a host, so that a region cannot be another
// server.
var regionPattern = lazyregexp.New(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// domains are those of the regions that begin with a prefix. All others, us-gov-west-1 among
// them, are below amazonaws.com.
// https://github.com/aws/aws-sdk-go-v2/blob/main/internal/endpoints/awsrulesfn/partitions.json
var domains = []struct{ prefix, domain string }{
	{"cn-", "amazonaws.com.cn"},
	{"eusc-de-", "amazonaws.eu"},
	{"us-iso-", "c2s.ic.gov"},
	{"us-isob-", "sc2s.sgov.gov"},
	{"us-isof-", "csp.hci.ic.gov"},
	{"eu-isoe-", "cloud.adc-e.uk"},
}

// endpoint returns where a service is called: aws_endpoint, or else AWS's own in the region.
func (o *operation) endpoint(service, region string) (string, error) {
	if o.env.AWSEndpoint != "" {
		return o.env.AWSEndpoint, nil
	}
	if !regionPattern.MatchString(region) {
		return "", fmt.Errorf("%.80q is not a region", region)
	}
	domain := "amazonaws.com"
	for _, s := range domains {
		if strings.HasPrefix(region, s.prefix) {
			domain = s.domain
		}
	}
	return "https://" + service + "." + region + "." + domain + "/", nil
}

// apiError is an error of the API; without a code it only says that the answer has the form of one.
func apiError(code, message string) error {
	return &smithy.GenericAPIError{Code: cmp.Or(code, "UnknownError"), Message: message}
}

// jsonError reads an error of a JSON API. Its code may be in a header or in one of two fields,
// with a namespace before it and an address behind: "com.amazonaws#Name:http://…".
// https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html#operation-error-serialization
func jsonError(h http.Header, body []byte) error {
	var e struct {
		Type    string `json:"__type"`
		Code    any
		Message string
	}
	if err := decodeJSON(body, &e); err != nil {
		return err
	}
	code, _ := e.Code.(string)
	code, _, _ = strings.Cut(cmp.Or(h.Get("X-Amzn-ErrorType"), e.Type, code), ":")
	if _, name, qualified := strings.Cut(code, "#"); qualified {
		code = name
	}
	return apiError(code, e.Message)
}

// decodeJSON reads an answer. An empty one is as good as {}, and one that was cut off gives
// [io.ErrUnexpectedEOF].
func decodeJSON(body []byte, to any) error {
	err := json.NewDecoder(bytes.NewReader(body)).Decode(to)
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// xmlError reads an error of STS: the first element Error, wherever it is.
// https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html
func xmlError(_ http.Header, body []byte) error {
	d := xml.NewDecoder(bytes.NewReader(body))
	for {
		token, err := d.Token()
		if err != nil {
			return err
		}
		start, ok := token.(xml.StartElement)
		if !ok || start.Name.Local != "Error" {
			continue
		}
		var e struct{ Code, Message string }
		if err := d.DecodeElement(&e, &start); err != nil {
			return err
		}
		return apiError(e.Code, e.Message)
	}
}
