package packaging_test

import (
	"testing"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testpeer/roots"
	"github.com/legaltalent/kyc-agent/packaging/usermanager"
)

// TestServiceOnTrixie is TestService under systemd 257.
func TestServiceOnTrixie(t *testing.T) {
	testpeer.Long(t)
	usermanager.Run(t, func() usermanager.Machine { return newInstalled(t, roots.Path(t, roots.Trixie)) }, testService)
}
