// What the scripts beside this one share. Each is run as
//
//     node SCRIPT FOLDER_OF_NODE_MODULES < cases.json
//
// and prints, for every case, one line for each call that its client made and one at the
// end, three fields parted by tabs: the case, the call and its result. The call is the
// operation, for InitiateAuth the flow and for RespondToAuthChallenge the challenge; the
// result is the next challenge, "ok" or the error's code. Lines whose call begins with "="
// show a value as JSON.
'use strict';

const { createHmac } = require('node:crypto');
const { readFileSync } = require('node:fs');
const { createRequire } = require('node:module');

let current;
const line = (call, result) => console.log([current, call, result].join('\t'));

const callOf = (headers, body) => {
  const operation = new Headers(headers).get('x-amz-target').split('.').pop();
  const input = JSON.parse(body);
  return { InitiateAuth: input.AuthFlow, RespondToAuthChallenge: input.ChallengeName }[operation] ?? operation;
};

// The clients are watched at the wire, so that what is printed is what happened. They must
// be loaded after this.
const fetchPlain = globalThis.fetch;
globalThis.fetch = async (url, options) => {
  const response = await fetchPlain(url, options);
  const answer = await response.clone().json();
  line(callOf(options.headers, options.body), answer.__type ?? answer.ChallengeName ?? 'ok');
  return response;
};

// load requires a client from the folder on the command line.
exports.load = createRequire(process.argv[2] + '/');

// run tells each case, and the function that shows a value, to the story.
exports.run = async (story) => {
  for (const request of JSON.parse(readFileSync(0, 'utf8'))) {
    current = request.name;
    try {
      await story(request, (name, value) => line('=' + name, JSON.stringify(value)));
      line('end', 'ok');
    } catch (err) {
      line('end', `${err.name}: ${err.message}`);
    }
  }
};

// memory is a storage as browsers have it.
exports.memory = () => {
  const items = new Map();
  return {
    setItem: (key, value) => items.set(key, value),
    getItem: (key) => items.get(key) ?? null,
    removeItem: (key) => items.delete(key),
    clear: () => items.clear(),
  };
};

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

const base32 = (text) => {
  const bits = [...text].map((c) => alphabet.indexOf(c).toString(2).padStart(5, '0')).join('');
  return Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
};

// authenticator returns a function that gives the codes of RFC 6238 for a secret. Each is
// one step later than the one before, as a code works once.
exports.authenticator = () => {
  let ahead = 0;
  return (secret) => {
    const counter = Buffer.alloc(8);
    counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30000) + ahead++));
    const sum = createHmac('sha1', base32(secret)).update(counter).digest();
    const at = sum[sum.length - 1] & 15;
    return String((sum.readUInt32BE(at) & 0x7fffffff) % 1000000).padStart(6, '0');
  };
};
