// Command speccheck compares exchanges with a server with a description of its API:
//
//	speccheck openapi.yaml
//
// It prints an [exchange.Spec], and then an [exchange.Verdict] for each [exchange.Exchange] that it
// reads. All are JSON. The
// tests of package ipc run it, and do not import what it imports: `go mod tidy` in a program
// that imports ipc adds the modules which ipc's tests import to its go.sum.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/legaltalent/kyc-agent/ipc/internal/speccheck/exchange"
)

func main() {
	if err := run(os.Args[1], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "speccheck:", err)
		os.Exit(1)
	}
}

func run(path string, in io.Reader, out io.Writer) error {
	doc, err := load(path)
	if err != nil {
		return err
	}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		return err
	}
	openapi3filter.RegisterBodyDecoder("application/openmetrics-text", openapi3filter.RegisteredBodyDecoder("text/plain"))
	answers, exchanges := json.NewEncoder(out), json.NewDecoder(in)
	if err := answers.Encode(summary(doc)); err != nil {
		return err
	}
	for {
		var e exchange.Exchange
		if err := exchanges.Decode(&e); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := answers.Encode(check(router, e)); err != nil {
			return err
		}
	}
}

// load loads the description and closes its objects, so that a field that the server sends and
// the description does not have is an error. (In it answers are open, because fields may be
// added.)
func load(path string) (*openapi3.T, error) {
	doc, err := openapi3.NewLoader().LoadFromFile(path)
	if err != nil {
		return nil, err
	}
	for _, schema := range doc.Components.Schemas {
		closeObjects(schema)
	}
	return doc, doc.Validate(context.Background(), openapi3.EnableExamplesValidation())
}

func closeObjects(ref *openapi3.SchemaRef) {
	if ref == nil || ref.Value == nil {
		return
	}
	s := ref.Value
	if len(s.Properties) > 0 && s.AdditionalProperties.Has == nil {
		s.AdditionalProperties = openapi3.AdditionalProperties{Has: new(bool)}
	}
	for _, p := range s.Properties {
		closeObjects(p)
	}
	closeObjects(s.Items)
}

func summary(doc *openapi3.T) exchange.Spec {
	s := exchange.Spec{Enums: map[string][]string{}}
	add := func(name string, schema *openapi3.SchemaRef) {
		for _, v := range schema.Value.Enum {
			s.Enums[name] = append(s.Enums[name], fmt.Sprint(v))
		}
		slices.Sort(s.Enums[name])
	}
	for name, schema := range doc.Components.Schemas {
		for property, ref := range schema.Value.Properties {
			add(name+"."+property, ref)
		}
	}
	for path, item := range doc.Paths.Map() {
		for _, p := range item.Parameters {
			add(path+"?"+p.Value.Name, p.Value.Schema)
		}
		for method, op := range item.Operations() {
			var query []string
			for _, p := range op.Parameters {
				if p.Value.In == openapi3.ParameterInQuery {
					query = append(query, p.Value.Name)
				}
				add(method+" "+path+"?"+p.Value.Name, p.Value.Schema)
			}
			slices.Sort(query)
			s.Routes = append(s.Routes, exchange.Route{Method: method, Path: path, Query: query})
			if op.RequestBody == nil {
				continue
			}
			for _, content := range op.RequestBody.Value.Content {
				for property, ref := range content.Schema.Value.Properties {
					add(method+" "+path+"."+property, ref)
				}
			}
		}
	}
	return s
}

func check(router routers.Router, e exchange.Exchange) (v exchange.Verdict) {
	req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(e.Request)))
	if err != nil {
		return exchange.Verdict{Route: err.Error()}
	}
	req.URL.Scheme, req.URL.Host = "http", e.Host
	route, params, err := router.FindRoute(req)
	if err != nil {
		return exchange.Verdict{Request: err.Error(), Response: err.Error()}
	}
	v.Route = route.Path
	options := &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true}
	in := &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route, Options: options}
	if err := openapi3filter.ValidateRequest(context.Background(), in); err != nil {
		v.Request = err.Error()
	}
	out := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: e.Status, Header: e.Header, Body: io.NopCloser(bytes.NewReader(e.Body)), Options: options,
	}
	if err := openapi3filter.ValidateResponse(context.Background(), out); err != nil {
		v.Response = err.Error()
	}
	return v
}
