package ipc

import (
	"context"
	"net/http"
	"reflect"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/store"
)

// Status implements [agent.Service]. The names of environments in it are names, which may
// go into a command line or a URL, and every other text is one line that may be shown: a
// program that got hold of the socket could send anything.
func (c *Client) Status(ctx context.Context) (agent.Status, error) {
	var st agent.Status
	_, err := c.do(ctx, call{op: "status", method: http.MethodGet, path: "/v1/status", limit: quickCall}, &st)
	if err != nil {
		return agent.Status{}, err
	}
	if !hasNames(st) {
		return agent.Status{}, c.errMalformed("status")
	}
	sanitizeText(reflect.ValueOf(&st).Elem())
	return st, nil
}

// hasNames reports whether st has the list of environments, which the agent always sends,
// and whether their names are such names.
func hasNames(st agent.Status) bool {
	if st.Environments == nil || st.DefaultEnvironment != "" && !store.ValidKey(st.DefaultEnvironment) {
		return false
	}
	for _, e := range st.Environments {
		if !store.ValidKey(e.Name) {
			return false
		}
	}
	return true
}

// sanitizeText makes one line of every string in v: also of fields that are added later.
func sanitizeText(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(sanitize.OneLine(v.String()))
	case reflect.Struct:
		for _, field := range v.Fields() {
			if field.CanSet() { // those of a time.Time are not
				sanitizeText(field)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			sanitizeText(v.Index(i))
		}
	case reflect.Map: // of strings
		for _, key := range v.MapKeys() {
			value := v.MapIndex(key).String()
			v.SetMapIndex(key, reflect.Value{})
			v.SetMapIndex(reflect.ValueOf(sanitize.OneLine(key.String())), reflect.ValueOf(sanitize.OneLine(value)))
		}
	}
}
