package cognito

import "net/http"

// TransportForTest is the transport of a zero Options.
func TransportForTest() *http.Transport { return transport() }
