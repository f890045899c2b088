// Runs amazon-cognito-identity-js: see common.cjs. A case has name, endpoint, pool,
// client, user, flow, what is answered (password, newPassword, code, secret, choice,
// answers, wrong) and steps, each a list of a verb below and its arguments.
'use strict';

const { authenticator, load, memory, run } = require('./common.cjs');
const { AuthenticationDetails, CognitoUser, CognitoUserPool } = load('amazon-cognito-identity-js');

// promised calls a method of the kind that takes callbacks by name.
const promised = (call) => new Promise((resolve, reject) => call({ onSuccess: resolve, onFailure: reject }));

// called calls one that takes a single callback.
const called = (call) => new Promise((resolve, reject) => call((err, result) => (err ? reject(err) : resolve(result))));

// answering makes the callbacks of a sign-in, which answer each challenge.
const answering = (user, request, totp, resolve, reject) => {
  let wrong = request.wrong ?? 0;
  const answers = [...(request.answers ?? [])];
  const code = (right) => (challenge) => {
    const again = { ...callbacks, onFailure: () => code(right)(challenge) };
    if (wrong-- > 0) {
      user.sendMFACode('000000', again, challenge);
    } else {
      user.sendMFACode(right(), callbacks, challenge);
    }
  };
  const callbacks = {
    onSuccess: resolve,
    onFailure: reject,
    newPasswordRequired: (attributes, required) => {
      const given = Object.fromEntries(required.map((name) => [name, 'given']));
      user.completeNewPasswordChallenge(request.newPassword, given, callbacks);
    },
    mfaRequired: code(() => request.code),
    totpRequired: code(() => totp(request.secret)),
    selectMFAType: () => user.sendMFASelectionAnswer(request.choice, callbacks),
    mfaSetup: () => user.associateSoftwareToken(callbacks),
    associateSecretCode: (secret) => {
      request.secret = secret;
      user.verifySoftwareToken(totp(secret), 'a device', callbacks);
    },
    customChallenge: () => user.sendCustomChallengeAnswer(answers.shift(), callbacks),
  };
  return callbacks;
};

const shown = (session) => ({
  id: session.getIdToken().decodePayload(),
  access: session.getAccessToken().decodePayload(),
  refresh: session.getRefreshToken().getToken(),
  valid: session.isValid(),
});

run(async (request, show) => {
  const Storage = memory();
  const pool = new CognitoUserPool({
    UserPoolId: request.pool, ClientId: request.client, endpoint: request.endpoint, Storage,
  });
  const totp = authenticator();
  let user;
  const newUser = () => {
    user = new CognitoUser({ Username: request.user, Pool: pool, Storage });
    if (request.flow) {
      user.setAuthenticationFlowType(request.flow);
    }
  };
  const signIn = (method) => new Promise((resolve, reject) => {
    newUser();
    const details = new AuthenticationDetails({ Username: request.user, Password: request.password });
    user[method](details, answering(user, request, totp, resolve, reject));
  });
  const verbs = {
    signIn: async () => show('session', shown(await signIn('authenticateUser'))),
    // CUSTOM_AUTH without a password.
    signInByAnswers: async () => show('session', shown(await signIn('initiateAuth'))),
    refresh: async () => show('session', shown(await called((done) => user.refreshSession(user.getSignInUserSession().getRefreshToken(), done)))),
    signOut: () => called((done) => user.signOut(done)), // revokes the refresh token
    signOutEverywhere: () => promised((callbacks) => user.globalSignOut(callbacks)),
    remember: () => promised((callbacks) => user.setDeviceStatusRemembered(callbacks)),
    forgetDevice: () => promised((callbacks) => user.forgetDevice(callbacks)),
    setPassword: async (password) => { request.password = password; },
    changePassword: (from, to) => called((done) => user.changePassword(from, to, done)),
    forgotPassword: () => promised((callbacks) => user.forgotPassword(callbacks)),
    confirmPassword: (code, password) => promised((callbacks) => user.confirmPassword(code, password, callbacks)),
    resendCode: () => called((done) => user.resendConfirmationCode(done)),
    confirmSignUp: (code) => called((done) => user.confirmRegistration(code, false, done)),
  };
  newUser();
  for (const [verb, ...args] of request.steps) {
    await verbs[verb](...args);
  }
});
