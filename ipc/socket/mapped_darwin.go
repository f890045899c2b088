package socket

// DeniedHint returns the next step for a client that the socket refused.
func DeniedHint() string { return otherSocket }
