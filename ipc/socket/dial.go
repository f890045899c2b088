package socket

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/legaltalent/kyc-agent/agent"
)

const otherSocket = "set KYC_AGENT_SOCK to the socket of your own agent"

// Dial connects to the agent's socket at path. Where a process of another user listens,
// it sends nothing and returns an [agent.Error] with CodeDenied. Other errors are those
// of a [net.Dialer].
func Dial(ctx context.Context, path string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	p, err := PeerOf(c)
	if err != nil || p.UID != os.Getuid() {
		_ = c.Close()
		return nil, &agent.Error{
			Code: agent.CodeDenied, Err: err, Hint: DeniedHint(),
			Message: fmt.Sprintf("%s is answered by uid %d, and you are uid %d: nothing was sent", path, p.UID, os.Getuid()),
		}
	}
	return c, nil
}
