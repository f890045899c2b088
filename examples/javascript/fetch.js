// fetch with an ID token.

import { setTimeout as sleep } from 'node:timers/promises'

import { AgentError } from './agent.js'
import { CognitoAuth } from './cognito.js'

// kycFetch is fetch for the environment's API and nothing else. target is a path ('/kyc')
// or a whole URL there. A 401 is answered once, with a newer token. A 429 is answered once,
// after the time that the API asks for, unless that is more than maxWait seconds (30; 0 never
// waits).
export async function kycFetch(target, init = {}, auth = new CognitoAuth(null), { maxWait = 30 } = {}) {
  let { token, api_url: apiURL } = await auth.getToken()
  const url = new URL(target, apiURL)
  if (url.origin !== new URL(apiURL).origin) {
    throw new AgentError('denied', `${url} is not at ${apiURL}: no token for it`)
  }
  let response = await fetch(url, withToken(init, token))
  const answered = new Set()
  while ([401, 429].includes(response.status) && !answered.has(response.status)) {
    answered.add(response.status)
    // A stream as the body has been read by now and cannot be sent again. After a redirect
    // to another server, to which fetch sends no token, this is not the API's answer.
    if (init.body instanceof ReadableStream) break
    if (response.redirected && new URL(response.url).origin !== url.origin) break
    const wait = response.status === 429 ? await waitAfter(response, maxWait) : 0
    if (wait === null) break
    if (wait > 0) await sleep(wait * 1000, undefined, { signal: init.signal ?? undefined })
    const next = response.status === 401 ? await auth.newerToken() : (await auth.getToken()).token
    if (response.status === 401 && next === token) break // there is no newer token, and the 401 is final
    token = next
    await response.body?.cancel()
    response = await fetch(url, withToken(init, token))
  }
  return response
}

function withToken(init, token) {
  const headers = new Headers(init.headers)
  headers.set('Authorization', `Bearer ${token}`)
  return { ...init, headers }
}

// The seconds to wait before a request that was answered 429 is sent again; null if it is
// not to be sent again, because the wait is longer than maxWait or unknown.
async function waitAfter(response, maxWait) {
  const { headers } = response
  let wait = retryAfter(headers.get('Retry-After') ?? '')
  if (Number.isNaN(wait)) wait = await inBody(response)
  if (Number.isNaN(wait) && headers.get('X-RateLimit-Remaining') === '0') {
    wait = Number(headers.get('X-RateLimit-Reset') ?? NaN) - Date.now() / 1000
  }
  return wait <= maxWait ? Math.max(0, wait) : null
}

// retry_after, in seconds: the API's own 429 has no Retry-After. The body stays for the caller.
async function inBody(response) {
  const refusal = await response.clone().json().catch(() => null)
  return typeof refusal?.retry_after === 'number' && refusal.retry_after > 0 ? refusal.retry_after : NaN
}

// Seconds, or a date.
function retryAfter(value) {
  return /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1000
}
