package shared_test

import (
	"testing"

	"github.com/legaltalent/kyc-agent/store/shared"
	"github.com/legaltalent/kyc-agent/store/shared/sharedtest"
)

func TestMemory(t *testing.T) {
	m := shared.NewMemory()
	sharedtest.Run(t, func(*testing.T) shared.Engine { return m })
}
