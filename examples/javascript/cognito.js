// The class and the function of the API's guide.

import { inspect } from 'node:util'

import { AgentError, call, defaultSocket } from './agent.js'
import { accessTokenWithheld, hideTokens, refreshTokenWithheld } from './secret.js'

export const STAGING_CONFIG = {
  region: 'us-east-2', userPoolId: 'us-east-2_oGu06xbPS', clientId: '2raj3isqgeivk0m4b94858hice',
}
export const PROD_CONFIG = {
  region: 'us-east-2', userPoolId: 'us-east-2_L37NAaTbI', clientId: '17motn53rgao4bk26ojguv0ldu',
}

// A user of one environment of the KYC API.
export class CognitoAuth {
  #tokens = null

  // environment: 'staging', 'prod' or another one of the agent's. null: $KYC_ENV, else the
  // agent's default. user is the one whose tokens this object gets: the one that login()
  // names, or nobody in particular.
  constructor(environment = 'staging', socketPath = defaultSocket(), { user = null } = {}) {
    this.environment = environment || process.env.KYC_ENV || ''
    this.config = { staging: STAGING_CONFIG, prod: PROD_CONFIG }[this.environment] ?? {}
    this.socketPath = socketPath
    this.user = user
    this.tokenExpiry = null // Unix seconds
  }

  // What login() returned; null before it.
  get tokens() { return this.#tokens }

  [inspect.custom]() { return `<CognitoAuth environment='${this.environment}' user='${this.user ?? ''}'>` }

  // Signs in and returns tokens. The agent keeps the sign-in; `kyc-agentd login` does the
  // same at a terminal. answer(challenge) returns {input name: value}, or a promise of it,
  // when Cognito asks for more than the password, as challenge.inputs lists it.
  async login(username, password, answer = refuse) {
    try {
      await this.#signIn(username, password, answer)
      this.user = username
      return await this.#keep(await this.getToken())
    } catch (err) {
      if (!(err instanceof AgentError)) throw err
      const wrong = err.detail === 'Invalid username or password'
      throw err.withMessage(wrong ? err.detail : `Authentication failed: ${err.message}`)
    }
  }

  async #signIn(username, password, answer) {
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

  async #keep({ token, expires_in: expiresIn }) {
    this.#tokens = hideTokens({ idToken: token, accessToken: await this.#accessToken(), refreshToken: refreshTokenWithheld() })
    this.#expires(expiresIn)
    return this.#tokens
  }

  #expires(expiresIn) {
    this.tokenExpiry = Date.now() / 1000 + Number(expiresIn || 'Infinity') // an API key does not expire
  }

  async #accessToken() {
    try {
      return (await this.#ask({ type: 'access' })).token
    } catch (err) {
      if (err.code !== 'denied' && err.code !== 'usage') return accessTokenWithheld(`there is none now: ${err.message}`)
    }
    // Denied, or an older agent, to which it is a wrong request.
    return accessTokenWithheld('kyc-agentd hands it out where config.toml has hand_out_access_tokens = true in ' +
      `[environments.${this.environment || 'NAME'}]`)
  }

  // The agent's whole answer, all strings: token, token_type, expires_at, expires_in,
  // environment, api_url, and with newer agents user and sub. minValid: for how many
  // seconds the token must stay valid.
  getToken(minValid = 0) {
    return this.#ask(minValid ? { min_valid: String(minValid) } : {})
  }

  async #ask(query) {
    const token = (more) => this.#call('GET', `/v1/token?${new URLSearchParams({ ...query, ...more })}`)
    const env = this.environment ? { env: this.environment } : {}
    if (this.user === null) return token(env)
    try {
      return await token({ ...env, user: this.user })
    } catch (err) {
      if (!/^unknown query parameter "?user\b/.test(err.detail)) throw err
    }
    // An older agent cannot compare the user itself. It is asked after the token, so that
    // another sign-in before the token is noticed.
    const answer = await token(env)
    await this.#checkUser(answer.environment)
    return answer
  }

  async #checkUser(environment) {
    const { environments } = await this.#call('GET', '/v1/status')
    if (environments.some((e) => e.name === environment && e.user === this.user)) return
    throw new AgentError('denied', `${environment}: the sign-in is another user's, not that of ${this.user}; ` +
      `run: kyc-agentd login ${environment} -u ${quote(this.user)}`)
  }

  // A valid ID token; null if nobody is signed in. Ask again for every request: it costs a
  // millisecond, and the agent refreshes when less than 5 minutes are left.
  async getIdToken() {
    let answer
    try {
      answer = await this.getToken()
    } catch (err) {
      if (this.#tokens !== null) throw err.withMessage(`Token refresh failed: ${err.message}`)
      if (err.code === 'login_required') return null
      throw err
    }
    if (this.#tokens !== null) {
      this.#tokens.idToken = answer.token
      this.#expires(answer.expires_in)
    }
    return answer.token
  }

  // tokens with an ID token newer than the agent's current one, unless that is seconds old.
  async refresh() {
    try {
      return await this.#keep(await this.#newer())
    } catch (err) {
      const nobody = this.#tokens === null && err.code === 'login_required'
      throw err.withMessage(nobody ? 'No refresh token available' : `Token refresh failed: ${err.message}`)
    }
  }

  // An ID token newer than the agent's current one, unless that is seconds old.
  async newerToken() {
    return (await this.#newer()).token
  }

  async #newer() {
    const answer = await this.getToken()
    if (!answer.expires_in) return answer // an API key: it does not expire, and there is no newer one
    try {
      return await this.getToken(Number(answer.expires_in) + 1)
    } catch (err) {
      if (err.code !== 'usage') throw err
    }
    return this.getToken() // no token would stay valid longer than this one
  }

  // 'Bearer …', for the header Authorization.
  async getAuthorizationHeader() {
    const token = await this.getIdToken()
    if (token === null) throw new AgentError('login_required', 'Not authenticated. Call login() first.')
    return `Bearer ${token}`
  }

  // { Authorization: 'Bearer …' }. If nobody is signed in, the error says what to type.
  async headers() {
    return { Authorization: `Bearer ${(await this.getToken()).token}` }
  }

  #call(method, target, body) {
    return call(this.socketPath, method, target, body)
  }
}

// Signs in: { idToken, accessToken, refreshToken, expiresIn }.
export async function authenticateUser(username, password, environment = 'staging') {
  const auth = new CognitoAuth(environment)
  const tokens = await auth.login(username, password)
  return hideTokens({ ...tokens, expiresIn: Math.round(auth.tokenExpiry - Date.now() / 1000) })
}

// The challenges by which the agent offers to repair an account, as the errors that they
// are to a program that answers none.
const repairs = {
  CONFIRM_SIGN_UP: ['User account not confirmed. Please verify your email.', ' Run: kyc-agentd confirm'],
  PASSWORD_RESET_REQUIRED: ['Password reset required', '; run: kyc-agentd password reset'],
}

function refuse({ name, environment }) {
  const [detail, next] = repairs[name] ?? []
  if (detail) throw new AgentError('login_required', `${environment}: ${detail}${next} ${environment}`, detail)
  throw new AgentError('login_required', `Cognito asks for more (${name}); run: kyc-agentd login ${environment}`)
}

// quote quotes a word for a shell.
function quote(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`
}
