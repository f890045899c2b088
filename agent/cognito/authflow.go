package cognito

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	cip "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"

	"github.com/legaltalent/kyc-agent/agent"
)

// A flow is one of Cognito's authentication flows, with which a sign-in begins.
type flow struct {
	name  types.AuthFlowType
	allow types.ExplicitAuthFlowsType // the setting that the app client must have
	// parameters returns AuthParameters, without USERNAME.
	parameters func(*signIn) map[string]string
	// passwordOptional says that the flow can begin without a password.
	passwordOptional bool
	// showsPassword says that Cognito may ask for the password itself.
	showsPassword bool
}

// flows are the values of auth_flow.
var flows = map[agent.AuthFlow]flow{
	agent.FlowPassword: {types.AuthFlowTypeUserPasswordAuth, types.ExplicitAuthFlowsTypeAllowUserPasswordAuth, passwordParameters, false, true},
	agent.FlowSRP:      {types.AuthFlowTypeUserSrpAuth, types.ExplicitAuthFlowsTypeAllowUserSrpAuth, srpParameters, false, false},
	agent.FlowChoice:   {types.AuthFlowTypeUserAuth, types.ExplicitAuthFlowsTypeAllowUserAuth, choiceParameters, true, true},
	agent.FlowCustom:   {types.AuthFlowTypeCustomAuth, types.ExplicitAuthFlowsTypeAllowCustomAuth, customParameters, true, false},
}

func passwordParameters(si *signIn) map[string]string {
	return map[string]string{"PASSWORD": si.password.Reveal()}
}

func srpParameters(si *signIn) map[string]string {
	return map[string]string{"SRP_A": si.startSRP()}
}

// choiceParameters offers the password if there is one: Cognito then asks for a choice only if
// the user has no password.
func choiceParameters(si *signIn) map[string]string {
	if si.password.IsZero() {
		return map[string]string{}
	}
	return map[string]string{"PREFERRED_CHALLENGE": string(types.ChallengeNameTypePasswordSrp), "SRP_A": si.startSRP()}
}

func customParameters(si *signIn) map[string]string {
	if si.password.IsZero() {
		return map[string]string{}
	}
	return map[string]string{"CHALLENGE_NAME": "SRP_A", "SRP_A": si.startSRP()}
}

// setFlow sets the flow to the environment's.
func (o *operation) setFlow() error {
	name := o.env.AuthFlow
	if name == "" {
		name = agent.FlowPassword
	}
	if name == agent.FlowBrowser {
		return o.errorf(agent.CodeUsage, "run: kyc-agentd login "+o.env.Name, "users of this environment sign in with a browser, without a password")
	}
	f, ok := flows[name]
	if !ok {
		return o.misconfigured(`auth_flow is none of "password", "srp", "choice", "custom", "browser"`)
	}
	o.flow = f
	return nil
}

// initiate begins a sign-in, if necessary a second time without the device.
func (si *signIn) initiate(ctx context.Context) (step, error) {
	once := func() (step, *failure) { return si.initiateOnce(ctx) }
	s, fail := withTries(ctx, once)
	if fail != nil && si.dropUnknownDevice(fail) {
		s, fail = withTries(ctx, once)
	}
	if fail != nil {
		return step{}, si.op.errorFor(signInMapping, fail)
	}
	return s, nil
}

// initiateOnce makes one call. After a failure only the exchange of the step is set.
func (si *signIn) initiateOnce(ctx context.Context) (step, *failure) {
	parameters := si.op.flow.parameters(si)
	parameters["USERNAME"] = si.user
	si.addDeviceKey(parameters)
	return si.callStep(ctx, "InitiateAuth", func(ctx context.Context) (*step, error) {
		si.op.addSecretHash(parameters, si.user)
		out, err := si.op.api.InitiateAuth(ctx, &cip.InitiateAuthInput{
			AuthFlow: si.op.flow.name, ClientId: aws.String(si.op.env.ClientID), AuthParameters: parameters,
		})
		if err != nil {
			return nil, err
		}
		return &step{
			result: out.AuthenticationResult, challenge: out.ChallengeName, params: out.ChallengeParameters,
			available: out.AvailableChallenges, session: out.Session, user: usernameFor(out.ChallengeParameters, si.user),
		}, nil
	})
}
