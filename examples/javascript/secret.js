// Values that must not be shown, and values that are not there.

import { inspect } from 'node:util'

// Withheld stands in the place of a token that the agent does not hand out. It cannot
// become JSON, and has none of a string's methods. Printed or in a template it says why.
// That text has a line break in it, which HTTP headers refuse.
export class Withheld {
  constructor(what, why) {
    const line = `<${what} withheld: ${why}>`
    const text = `<${what} withheld:\n${why}>`
    const refuse = () => { throw new TypeError(`the ${what} is withheld: ${why}`) }
    const own = {
      toString: () => text,
      toJSON: refuse,
      [Symbol.toPrimitive]: (hint) => (hint === 'number' ? refuse() : text),
      [inspect.custom]: () => line,
      then: undefined, // it is no promise
      constructor: Withheld,
    }
    for (const name of Reflect.ownKeys(own)) Object.defineProperty(this, name, { value: own[name] })
    return new Proxy(this, {
      get: (target, name) => (Object.hasOwn(target, name) || typeof name === 'symbol' ? target[name] : refuse()),
    })
  }
}

export function refreshTokenWithheld() {
  return new Withheld('refresh token', 'kyc-agentd keeps it and refreshes by itself; call refresh() or getIdToken()')
}

export function accessTokenWithheld(why) {
  return new Withheld('access token', why)
}

// hideTokens returns tokens, which console.log shows without the tokens.
export function hideTokens(tokens) {
  const shown = () => Object.fromEntries(Object.entries(tokens).map(([name, value]) =>
    [name, typeof value === 'string' ? '<hidden>' : value]))
  return Object.defineProperty(tokens, inspect.custom, { value: shown })
}
