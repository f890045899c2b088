// Runs @aws-amplify/auth: see common.cjs. A case has name, endpoint, pool, client, user,
// flow, what is answered (password, newPassword, code, secret, choice, factor, preferred,
// answers, wrong) and steps, each a list of a verb below and its arguments.
'use strict';

const { authenticator, load, memory, run } = require('./common.cjs');
const { Amplify } = load('@aws-amplify/core');
const auth = load('@aws-amplify/auth');
const { cognitoUserPoolsTokenProvider } = load('@aws-amplify/auth/cognito');

// Amplify names a device after the browser, which Node.js before 21 does not have.
globalThis.navigator ??= { userAgent: 'nodejs' };

// Amplify's storage is the browser's, with promises.
const promising = (storage) => Object.fromEntries(
  Object.entries(storage).map(([name, method]) => [name, async (...args) => method(...args)]));

// answer gives the challengeResponse to a step of a sign-in.
const answer = (request, totp, answers, step) => {
  switch (step.signInStep) {
    case 'CONFIRM_SIGN_IN_WITH_NEW_PASSWORD_REQUIRED': return request.newPassword;
    case 'CONFIRM_SIGN_IN_WITH_PASSWORD': return request.password;
    case 'CONFIRM_SIGN_IN_WITH_SMS_CODE':
    case 'CONFIRM_SIGN_IN_WITH_EMAIL_CODE': return request.code;
    case 'CONFIRM_SIGN_IN_WITH_TOTP_CODE': return totp(request.secret);
    case 'CONTINUE_SIGN_IN_WITH_TOTP_SETUP': return totp(request.secret = step.totpSetupDetails.sharedSecret);
    case 'CONTINUE_SIGN_IN_WITH_MFA_SELECTION': return request.choice;
    case 'CONTINUE_SIGN_IN_WITH_FIRST_FACTOR_SELECTION': return request.factor;
    case 'CONFIRM_SIGN_IN_WITH_CUSTOM_CHALLENGE': return answers.shift();
    default: throw new Error(step.signInStep);
  }
};

const attributes = (step) => Object.fromEntries((step.missingAttributes ?? []).map((name) => [name, 'given']));

const signIn = async (request, totp, show) => {
  const answers = [...(request.answers ?? [])];
  let wrong = request.wrong ?? 0;
  let { nextStep } = await auth.signIn({
    username: request.user,
    password: request.flow === 'CUSTOM_WITHOUT_SRP' ? undefined : request.password,
    options: { authFlowType: request.flow, preferredChallenge: request.preferred },
  });
  while (nextStep.signInStep !== 'DONE') {
    if (nextStep.availableChallenges) {
      show('available', nextStep.availableChallenges);
    }
    while (nextStep.signInStep.endsWith('_CODE') && wrong-- > 0) {
      await auth.confirmSignIn({ challengeResponse: '000000' }).catch(() => {});
    }
    ({ nextStep } = await auth.confirmSignIn({
      challengeResponse: answer(request, totp, answers, nextStep),
      options: { userAttributes: attributes(nextStep) },
    }));
  }
};

run(async (request, show) => {
  const storage = memory();
  const { tokenOrchestrator } = cognitoUserPoolsTokenProvider;
  cognitoUserPoolsTokenProvider.setKeyValueStorage(promising(storage));
  const config = { Cognito: {
    userPoolId: request.pool, userPoolClientId: request.client, userPoolEndpoint: request.endpoint,
  } };
  cognitoUserPoolsTokenProvider.setAuthConfig(config);
  Amplify.configure({ Auth: config }, { Auth: { tokenProvider: cognitoUserPoolsTokenProvider } });
  const totp = authenticator();
  const session = async (options) => {
    const { tokens } = await auth.fetchAuthSession(options);
    if (!tokens) {
      throw new Error('signed out'); // a refresh that is refused throws nothing
    }
    const { refreshToken } = await tokenOrchestrator.getTokenStore().loadTokens();
    show('session', { id: tokens.idToken.payload, access: tokens.accessToken.payload, refresh: refreshToken });
  };
  const verbs = {
    signIn: async () => {
      await signIn(request, totp, show);
      await session();
    },
    refresh: () => session({ forceRefresh: true }),
    signOut: () => auth.signOut(), // revokes the refresh token
    signOutEverywhere: () => auth.signOut({ global: true }),
    remember: () => auth.rememberDevice(),
    forgetDevice: () => auth.forgetDevice(),
    setPassword: async (password) => { request.password = password; },
    changePassword: (oldPassword, newPassword) => auth.updatePassword({ oldPassword, newPassword }),
    forgotPassword: () => auth.resetPassword({ username: request.user }),
    confirmPassword: (confirmationCode, newPassword) =>
      auth.confirmResetPassword({ username: request.user, confirmationCode, newPassword }),
    resendCode: () => auth.resendSignUpCode({ username: request.user }),
    confirmSignUp: (confirmationCode) => auth.confirmSignUp({ username: request.user, confirmationCode }),
  };
  for (const [verb, ...args] of request.steps) {
    await verbs[verb](...args);
  }
});
