// ID tokens for the KYC API from kyc-agentd, for Node 18 and later, with nothing
// but Node's own modules.
//
// A program that was written after the API's guide works when its import changes:
//
//     import { authenticateUser } from 'kyc-auth'
//     const tokens = await authenticateUser('user@example.com', password, 'staging')
//
// CognitoAuth has the methods of the guide's Python class; kycFetch is fetch with a token:
//
//     import { kycFetch } from 'kyc-auth'
//     const response = await kycFetch('/kyc', { method: 'POST', body: … })
//
// The agent does the sign-in and the refreshes, and no password or refresh token
// stays in this process. Nothing here prompts or waits for a person: if no token is
// available, every function throws AgentError, so no request is sent without one. No
// error shows a token or a password.

export { AgentError, defaultSocket } from './agent.js'
export { CognitoAuth, PROD_CONFIG, STAGING_CONFIG, authenticateUser } from './cognito.js'
export { kycFetch } from './fetch.js'
export { Withheld } from './secret.js'
