// Signs in with amazon-cognito-identity-js and refreshes the session.
//
// Usage: node signin.cjs FOLDER_OF_NODE_MODULES < requests.json
// Each request has endpoint, pool, client, flow, user, password and, for challenges,
// newPassword and code. Prints a list of results: the challenges met, in order, and
// either the claims of the first and of the refreshed tokens or the error.
'use strict';

const { createRequire } = require('node:module');
const { readFileSync } = require('node:fs');
const { AuthenticationDetails, CognitoUser, CognitoUserPool } =
  createRequire(process.argv[2] + '/')('amazon-cognito-identity-js');

const memory = () => {
  const items = new Map();
  return {
    setItem: (key, value) => items.set(key, value),
    getItem: (key) => items.get(key) ?? null,
    removeItem: (key) => items.delete(key),
    clear: () => items.clear(),
  };
};

const newUser = (request) => {
  const storage = memory();
  const pool = new CognitoUserPool({
    UserPoolId: request.pool, ClientId: request.client, endpoint: request.endpoint, Storage: storage,
  });
  const user = new CognitoUser({ Username: request.user, Pool: pool, Storage: storage });
  user.setAuthenticationFlowType(request.flow);
  return user;
};

const signIn = (user, request, met) => new Promise((resolve, reject) => {
  const code = (challenge) => {
    met.push(challenge);
    user.sendMFACode(request.code, callbacks, challenge);
  };
  const callbacks = {
    onSuccess: resolve,
    onFailure: reject,
    newPasswordRequired: (attributes, required) => {
      met.push('NEW_PASSWORD_REQUIRED');
      const given = Object.fromEntries(required.map((name) => [name, 'given']));
      user.completeNewPasswordChallenge(request.newPassword, given, callbacks);
    },
    mfaRequired: code,
    totpRequired: code,
    selectMFAType: (challenge) => {
      met.push(challenge);
      user.sendMFASelectionAnswer('SOFTWARE_TOKEN_MFA', callbacks);
    },
  };
  user.authenticateUser(new AuthenticationDetails({ Username: request.user, Password: request.password }), callbacks);
});

const refresh = (user, token) => new Promise((resolve, reject) => {
  user.refreshSession(token, (err, session) => (err ? reject(err) : resolve(session)));
});

const report = (session) => ({
  id: session.getIdToken().decodePayload(),
  access: session.getAccessToken().decodePayload(),
  refresh: session.getRefreshToken().getToken(),
  valid: session.isValid(),
});

const run = async (request) => {
  const out = { met: [] };
  try {
    const user = newUser(request);
    const session = await signIn(user, request, out.met);
    out.first = report(session);
    out.second = report(await refresh(user, session.getRefreshToken()));
    await new Promise((resolve) => user.signOut(resolve)); // revokes the refresh token
  } catch (err) {
    out.code = err.code ?? err.name;
    out.message = err.message;
  }
  return out;
};

(async () => {
  const results = [];
  for (const request of JSON.parse(readFileSync(0, 'utf8'))) {
    results.push(await run(request));
  }
  console.log(JSON.stringify(results));
})();
