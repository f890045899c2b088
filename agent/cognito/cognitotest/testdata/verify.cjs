// Verifies tokens with aws-jwt-verify.
//
// Usage: node verify.cjs FOLDER_OF_NODE_MODULES < request.json
// The request has issuer, jwksURL, pool and tokens, a list of {token, use, client}.
// With pool set, the verifier for Cognito's tokens is used, else the general one.
// Prints a list of "ok" or the name of the error, as JSON.
'use strict';

const { createRequire } = require('node:module');
const { readFileSync } = require('node:fs');
const peer = createRequire(process.argv[2] + '/');
const { CognitoJwtVerifier, JwtVerifier } = peer('aws-jwt-verify');
const { SimpleJwksCache } = peer('aws-jwt-verify/jwk');

const request = JSON.parse(readFileSync(0, 'utf8'));

// The library's own fetcher speaks https only, and Cognito's verifier asks AWS.
const jwksCache = () => new SimpleJwksCache({
  fetcher: { fetch: async () => (await fetch(request.jwksURL)).arrayBuffer() },
});

const cognito = ({ use, client }) =>
  CognitoJwtVerifier.create({ userPoolId: request.pool, tokenUse: use, clientId: client }, { jwksCache: jwksCache() });

// Access tokens carry no aud, so the general verifier is told not to ask for one.
const general = ({ use, client }) => JwtVerifier.create({
  issuer: request.issuer,
  jwksUri: request.jwksURL,
  audience: use === 'id' ? client : null,
}, { jwksCache: jwksCache() });

(async () => {
  const results = [];
  for (const t of request.tokens) {
    const verifier = request.pool ? cognito(t) : general(t);
    results.push(await verifier.verify(t.token).then(() => 'ok', (err) => err.constructor.name));
  }
  console.log(JSON.stringify(results));
})();
