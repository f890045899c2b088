// The agent's socket API.

import http from 'node:http'
import path from 'node:path'

const tokenTimeout = 8_000 // ms; the agent answers from memory, or refreshes at Cognito
const loginTimeout = 120_000 // a person may have to unlock the keyring

// Why there is no token, and what to do. code is the agent's error code:
// 'login_required', 'unavailable', …; 'no_agent' if no agent answers. detail is the cause
// alone, without the environment and the next command. retryAfter is in how many seconds
// it makes sense to try again, or undefined.
export class AgentError extends Error {
  constructor(code, message, detail = message, retryAfter = undefined) {
    super(message)
    this.name = 'AgentError'
    this.code = code
    this.detail = detail
    this.retryAfter = retryAfter
  }

  // The same error with another message.
  withMessage(message) {
    return new AgentError(this.code, message, this.detail, this.retryAfter)
  }
}

// call makes one call and returns the answer's JSON object. No error has a cause: those of
// Node quote what they could not use.
export async function call(socketPath, method, target, body) {
  const { status, text } = await exchange(socketPath, method, target, body).catch((err) => {
    throw new AgentError('no_agent', `no agent answers at ${socketPath} (${err.message}); ` +
      'run: systemctl --user start kyc-agentd.socket')
  })
  const reply = decode(status, text)
  if (status !== 200) throw problem(status, reply)
  if ('token' in reply && !/^[\x21-\x7e]+$/.test(reply.token)) {
    throw new AgentError('internal', "the agent's token cannot be sent in a header")
  }
  return reply
}

function exchange(socketPath, method, target, body) {
  const headers = { Host: 'kyc-agent', Accept: 'application/json' } // the agent requires this Host
  if (body) headers['Content-Type'] = 'application/json'
  const signal = AbortSignal.timeout(body ? loginTimeout : tokenTimeout)
  return new Promise((resolve, reject) => {
    const options = { socketPath, path: target, method, headers, signal, agent: false }
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

function decode(status, text) {
  try {
    const reply = JSON.parse(text)
    if (reply !== null && typeof reply === 'object') return reply
  } catch {
    // the same error
  }
  throw new AgentError('internal', `the agent's answer (status ${status}) is not a JSON object`)
}

// One line of an RFC 9457 problem: "prod: not signed in; run: kyc-agentd login prod".
function problem(status, { code = 'internal', environment, detail, hint, retry_after: retryAfter }) {
  const cause = detail ?? `the agent answered with status ${status}`
  const line = (environment ? `${environment}: ` : '') + cause
  return new AgentError(code, hint ? `${line}; ${hint}` : line, cause, retryAfter)
}

// The path of the agent's socket, even if no variable is set.
export function defaultSocket() {
  if (process.env.KYC_AGENT_SOCK) return process.env.KYC_AGENT_SOCK
  const runtime = process.env.XDG_RUNTIME_DIR ?? ''
  return path.join(path.isAbsolute(runtime) ? runtime : `/run/user/${process.getuid()}`, 'kyc-agentd', 'agent.sock')
}
