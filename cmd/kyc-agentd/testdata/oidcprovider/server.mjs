// An authorization server that nobody of this project wrote: oidc-provider, with a sign-in page
// that takes a password or a passkey. Its arguments are the folder with node_modules and the
// redirect URIs; it prints its URL, and ends with its standard input.
//
// oidc-provider has no API of Cognito. POST / translates the two calls that the agent makes
// after a sign-in, GetTokensFromRefreshToken and RevokeToken, to its own endpoints, so the
// rotation is oidc-provider's.
import crypto from 'node:crypto';
import http from 'node:http';
import { pathToFileURL } from 'node:url';

const [peers, ...redirectURIs] = process.argv.slice(2);
const { default: Provider } = await import(pathToFileURL(`${peers}/node_modules/oidc-provider/lib/index.js`));

const clientID = 'oidcproviderclient';
const password = 'korrekt pferd';
const { privateKey } = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
const jwk = { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: 'one' };

const server = http.createServer();
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const port = server.address().port;
const issuer = `http://localhost:${port}`; // a passkey needs a name

const provider = new Provider(issuer, {
  clients: [{
    client_id: clientID, token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'], redirect_uris: redirectURIs,
    post_logout_redirect_uris: redirectURIs,
  }],
  jwks: { keys: [jwk] },
  cookies: { keys: [crypto.randomUUID()] },
  routes: { authorization: '/oauth2/authorize', token: '/oauth2/token', revocation: '/oauth2/revoke', jwks: '/jwks', end_session: '/end' },
  pkce: { required: () => true },
  // What Cognito has in an ID token, and the agent requires.
  claims: { openid: ['sub', 'token_use', 'cognito:username'] },
  conformIdTokenClaims: false,
  findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id, token_use: 'id', 'cognito:username': id }) }),
  loadExistingGrant: async (ctx) => {
    const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
    grant.addOIDCScope('openid');
    await grant.save();
    return grant;
  },
  issueRefreshToken: () => true,
  rotateRefreshToken: true,
  expiresWithSession: () => false,
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  features: { devInteractions: { enabled: false }, revocation: { enabled: true } },
});
provider.on('server_error', (ctx, err) => console.error(err));

const passkeys = new Map(); // credential id → public key
const challenges = new Map(); // challenge → true, each good once

const challenge = () => { const c = crypto.randomBytes(32).toString('base64url'); challenges.set(c, true); return c; };
const body = async (req) => { const parts = []; for await (const part of req) parts.push(part); return Buffer.concat(parts).toString(); };
const page = (res, html) => { res.setHeader('Content-Type', 'text/html; charset=utf-8'); res.end(`<!DOCTYPE html><html lang="en">${html}`); };
const json = (res, status, value) => { res.writeHead(status, { 'Content-Type': 'application/x-amz-json-1.1' }); res.end(JSON.stringify(value)); };

const script = `<script>
const bytes = (s) => Uint8Array.from(atob(s.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));
const text = (b) => btoa(String.fromCharCode(...new Uint8Array(b))).replace(/[+]/g, '-').replace(/[/]/g, '_').replace(/=/g, '');
async function register(challenge) {
  const made = await navigator.credentials.create({ publicKey: { rp: { id: 'localhost', name: 'peer' }, challenge: bytes(challenge),
    user: { id: bytes('YW5h'), name: 'ana', displayName: 'Ana' }, pubKeyCredParams: [{ type: 'public-key', alg: -7 }],
    authenticatorSelection: { residentKey: 'required', userVerification: 'required' } } });
  const r = await fetch('/passkey', { method: 'POST', body: JSON.stringify({ id: made.id, key: text(made.response.getPublicKey()),
    client: text(made.response.clientDataJSON) }) });
  document.title = r.ok ? 'registered' : 'refused';
}
async function usePasskey(challenge) {
  const got = await navigator.credentials.get({ publicKey: { rpId: 'localhost', challenge: bytes(challenge), userVerification: 'required' } });
  const f = document.forms[0];
  f.passkey.value = JSON.stringify({ id: got.id, client: text(got.response.clientDataJSON), data: text(got.response.authenticatorData),
    signature: text(got.response.signature) });
  f.submit();
}
</script>`;

// checkClient checks what the browser says about a WebAuthn call (WebAuthn Level 2, 7.1 and 7.2).
function checkClient(client, type) {
  const said = JSON.parse(Buffer.from(client, 'base64url'));
  return said.type === type && said.origin === issuer && challenges.delete(said.challenge);
}

function checkPasskey({ id, client, data, signature }) {
  const key = passkeys.get(id);
  const authData = Buffer.from(data, 'base64url');
  const clientHash = crypto.createHash('sha256').update(Buffer.from(client, 'base64url')).digest();
  return key && checkClient(client, 'webauthn.get') &&
    authData.subarray(0, 32).equals(crypto.createHash('sha256').update('localhost').digest()) && (authData[32] & 5) === 5 && // present, verified
    crypto.verify('sha256', Buffer.concat([authData, clientHash]), { key, format: 'der', type: 'spki' }, Buffer.from(signature, 'base64url'));
}

async function interaction(req, res) {
  await provider.interactionDetails(req, res);
  if (req.method === 'GET') {
    page(res, `<title>sign in</title><h1>Sign in</h1><form method="post"><input name="user"><input name="password" type="password">
      <input name="passkey" type="hidden"><button>Sign in</button> <button name="cancel" value="1">Cancel</button>
      <button type="button" id="use-passkey" onclick="usePasskey('${challenge()}')">Passkey</button></form>${script}`);
    return;
  }
  const form = new URLSearchParams(await body(req));
  const ok = form.get('passkey') ? checkPasskey(JSON.parse(form.get('passkey'))) : form.get('password') === password;
  const result = form.get('cancel') || !ok ? { error: 'access_denied', error_description: 'declined' } : { login: { accountId: 'ana' } };
  await provider.interactionFinished(req, res, result, { mergeWithLastSubmission: false });
}

// api is the part of Cognito's API that comes after a sign-in.
async function api(req, res) {
  const call = req.headers['x-amz-target'].split('.')[1];
  const input = JSON.parse(await body(req));
  const post = (path, form) => fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST', headers: { host: `localhost:${port}` },
    body: new URLSearchParams({ client_id: input.ClientId, ...form }) });
  if (call === 'RevokeToken') {
    await post('/oauth2/revoke', { token: input.Token, token_type_hint: 'refresh_token' });
    return json(res, 200, {});
  }
  if (call !== 'GetTokensFromRefreshToken') {
    return json(res, 400, { __type: 'UnknownOperationException' });
  }
  const answer = await (await post('/oauth2/token', { grant_type: 'refresh_token', refresh_token: input.RefreshToken })).json();
  if (answer.error) {
    return json(res, 400, { __type: 'NotAuthorizedException', message: 'Invalid Refresh Token.' });
  }
  return json(res, 200, { AuthenticationResult: { IdToken: answer.id_token, AccessToken: answer.access_token,
    RefreshToken: answer.refresh_token, ExpiresIn: answer.expires_in, TokenType: 'Bearer' } });
}

server.on('request', async (req, res) => {
  try {
    const url = new URL(req.url, issuer);
    if (url.pathname.startsWith('/interaction/')) return await interaction(req, res);
    if (url.pathname === '/' && req.method === 'POST') return await api(req, res);
    if (url.pathname === '/register') return page(res, `<title>register</title>${script}<script>register('${challenge()}')</script>`);
    if (url.pathname === '/passkey') {
      const made = JSON.parse(await body(req));
      const ok = checkClient(made.client, 'webauthn.create');
      if (ok) passkeys.set(made.id, Buffer.from(made.key, 'base64url'));
      res.writeHead(ok ? 204 : 400);
      return res.end();
    }
    return provider.callback()(req, res);
  } catch (err) {
    console.error(err);
    res.writeHead(500);
    res.end();
  }
});
console.log(issuer);
process.stdin.resume().on('end', () => process.exit(0));
