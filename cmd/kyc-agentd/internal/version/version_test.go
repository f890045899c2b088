package version

import "testing"

func TestOf(t *testing.T) {
	if got := Of("1.2.3"); got != "1.2.3" {
		t.Errorf("stamped: %q", got)
	}
	if got := Of(""); got == "" {
		t.Error("without a stamp there is no version")
	}
}

func TestBinaryReplaced(t *testing.T) {
	if BinaryReplaced() {
		t.Error("the test binary is where it was")
	}
}
