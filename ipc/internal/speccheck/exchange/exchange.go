// Package exchange has what the program speccheck reads and prints.
package exchange

import "net/http"

// A Spec is what a description of an API says: its routes, and the values of each enumeration
// in ascending order, by "Schema.property", "METHOD /path?parameter" or "METHOD /path.property".
type Spec struct {
	Routes []Route
	Enums  map[string][]string
}

// A Route is an operation with the names of its parameters in the query, in ascending order.
type Route struct {
	Method, Path string
	Query        []string
}

// An Exchange is a request, as on the wire, and the answer to it.
type Exchange struct {
	Request, Host string
	Status        int
	Header        http.Header
	Body          []byte
}

// A Verdict says which route an exchange is of, and how request and answer differ from the
// description; "" if they do not.
type Verdict struct {
	Route, Request, Response string
}
