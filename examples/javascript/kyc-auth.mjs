// ID tokens for the KYC API from kyc-agentd, for Node 18 and later, with nothing
// but Node's own modules.
//
// CognitoAuth has the methods of the class of that name in the API's guide; kycFetch is
// fetch with a token:
//
//     import { kycFetch } from './kyc-auth.mjs'
//     const response = await kycFetch('/kyc', { method: 'POST', body: … })
//
// The agent does the sign-in and the refreshes, and no password or refresh token
// stays in this process. Nothing here prompts or waits for a person: if no token is
// available, every function throws AgentError, so no request is sent without one.

import http from 'node:http'
import path from 'node:path'

const tokenTimeout = 8_000 // ms; the agent answers from memory, or refreshes at Cognito
const loginTimeout = 120_000 // a person may have to unlock the keyring

// Why there is no token, and what to do. code is the agent's error code:
// 'login_required', 'unavailable', …; 'no_agent' if no agent answers.
export class AgentError extends Error {
  constructor(code, detail) {
    super(detail)
    this.name = 'AgentError'
    this.code = code
  }
}

// A signed-in user of one environment of the KYC API.
export class CognitoAuth {
  // environment: 'staging' or 'prod'; else $KYC_ENV, else the agent's default.
  constructor(environment = '', socketPath = defaultSocket()) {
    this.environment = environment || process.env.KYC_ENV || ''
    this.socketPath = socketPath
  }

  // Signs in, once; the agent keeps the sign-in. `kyc-agentd login` does the same at
  // a terminal. answer(challenge) returns {input name: value}, or a promise of it, when
  // Cognito asks for more than the password, as challenge.inputs lists it.
  async login(username, password, answer = refuse) {
    const { environment } = this
    let reply = await this.#call('POST', '/v1/login', { environment, username, password })
    while (reply.state === 'challenge') {
      const target = `/v1/login/${reply.id}`
      let answers
      try {
        answers = await answer(reply.challenge)
      } catch (err) {
        await this.#call('DELETE', target) // cancels this sign-in; an earlier one stays
        throw err
      }
      reply = await this.#call('POST', target, { answers })
    }
  }

  // The agent's whole answer, all strings: token, token_type, expires_at, expires_in,
  // environment, api_url. minValid: for how many seconds the token must stay valid.
  getToken(minValid = 0) {
    const query = new URLSearchParams()
    if (this.environment) query.set('env', this.environment)
    if (minValid) query.set('min_valid', String(minValid))
    return this.#call('GET', `/v1/token?${query}`)
  }

  // A valid ID token. Ask again for every request: it costs a millisecond.
  async getIdToken() {
    return (await this.getToken()).token
  }

  // An ID token newer than the agent's current one, unless that is seconds old.
  async refresh() {
    const { token, expires_in } = await this.getToken()
    if (!expires_in) return token // an API key: it does not expire, and there is no newer one
    try {
      return (await this.getToken(Number(expires_in) + 1)).token
    } catch (err) {
      if (err.code !== 'usage') throw err
    }
    return this.getIdToken() // no token would stay valid longer than this one
  }

  async getAuthorizationHeader() {
    return { Authorization: `Bearer ${await this.getIdToken()}` }
  }

  async #call(method, target, body) {
    const { status, text } = await this.#exchange(method, target, body).catch((err) => {
      throw new AgentError('no_agent', `no agent answers at ${this.socketPath} (${err.message}); ` +
        'run: systemctl --user start kyc-agentd.socket')
    })
    const reply = decode(status, text)
    if (status !== 200) throw new AgentError(reply.code ?? 'internal', sentence(reply, status))
    return reply
  }

  #exchange(method, target, body) {
    const headers = { Host: 'kyc-agent', Accept: 'application/json' } // the agent requires this Host
    if (body) headers['Content-Type'] = 'application/json'
    const signal = AbortSignal.timeout(body ? loginTimeout : tokenTimeout)
    return new Promise((resolve, reject) => {
      const options = { socketPath: this.socketPath, path: target, method, headers, signal, agent: false }
      const request = http.request(options, (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (part) => { text += part })
        response.on('end', () => resolve({ status: response.statusCode, text }))
        response.on('error', reject)
      })
      request.on('error', reject)
      request.end(body && JSON.stringify(body))
    })
  }
}

// fetch with an ID token, for the environment's API and nothing else. target is a
// path ('/kyc') or a whole URL there. A 401 is answered once, with a newer token.
export async function kycFetch(target, init = {}, auth = new CognitoAuth()) {
  const { token, api_url } = await auth.getToken()
  const url = new URL(target, api_url)
  if (url.origin !== new URL(api_url).origin) {
    throw new AgentError('denied', `${url} is not at ${api_url}: no token for it`)
  }
  const response = await fetch(url, withToken(init, token))
  // A stream as the body has been read by now and cannot be sent again: the caller gets
  // the 401.
  if (response.status !== 401 || init.body instanceof ReadableStream) return response
  // After a redirect to another server, to which fetch sends no token, this is not the
  // API's 401.
  if (response.redirected && new URL(response.url).origin !== url.origin) return response
  const newer = await auth.refresh()
  if (newer === token) return response // there is no newer token, and the 401 is final
  await response.body?.cancel()
  return fetch(url, withToken(init, newer))
}

function withToken(init, token) {
  const headers = new Headers(init.headers)
  headers.set('Authorization', `Bearer ${token}`)
  return { ...init, headers }
}

function refuse({ name, environment }) {
  throw new AgentError('login_required', `Cognito asks for more (${name}); run: kyc-agentd login ${environment}`)
}

// The path of the agent's socket, even if no variable is set.
export function defaultSocket() {
  if (process.env.KYC_AGENT_SOCK) return process.env.KYC_AGENT_SOCK
  const runtime = process.env.XDG_RUNTIME_DIR ?? ''
  return path.join(path.isAbsolute(runtime) ? runtime : `/run/user/${process.getuid()}`, 'kyc-agentd', 'agent.sock')
}

function decode(status, text) {
  try {
    return JSON.parse(text)
  } catch {
    throw new AgentError('internal', `the agent's answer (status ${status}) is not JSON`)
  }
}

// One line of an RFC 9457 problem: "prod: not signed in; run: kyc-agentd login prod".
function sentence({ environment, detail, hint }, status) {
  const line = (environment ? `${environment}: ` : '') + (detail ?? `the agent answered with status ${status}`)
  return hint ? `${line}; ${hint}` : line
}
