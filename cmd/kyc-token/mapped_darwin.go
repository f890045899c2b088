package main

// deniedHint returns the next step after the socket was refused.
func deniedHint() string { return checkSocket }
