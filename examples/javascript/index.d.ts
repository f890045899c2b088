/** Why there is no token, and what to do. */
export class AgentError extends Error {
  constructor(code: string, message: string, detail?: string, retryAfter?: number)
  /** The agent's error code, or "no_agent" if no agent answers. */
  readonly code: string
  /** The cause alone, without the environment and the next command. */
  readonly detail: string
  /** In how many seconds it makes sense to try again. */
  readonly retryAfter?: number
  withMessage(message: string): AgentError
}

/** What stands in the place of a token that the agent does not hand out. */
export class Withheld {
  private constructor()
}

export interface Config {
  region: string
  userPoolId: string
  clientId: string
}

export const STAGING_CONFIG: Config
export const PROD_CONFIG: Config

export interface Tokens {
  idToken: string
  accessToken: string | Withheld
  refreshToken: Withheld
}

/** The agent's answer; all values are strings. */
export interface Token {
  token: string
  token_type: string
  /** RFC 3339, or empty for an API key. */
  expires_at: string
  /** Seconds, or empty for an API key. */
  expires_in: string
  environment: string
  api_url: string
  user?: string
  sub?: string
}

/** What Cognito asks beyond the password. */
export interface Challenge {
  environment: string
  name: string
  prompt: string
  inputs: { name: string, label: string, secret?: boolean }[]
}

export type Answer = (challenge: Challenge) => Record<string, string> | Promise<Record<string, string>>

export class CognitoAuth {
  constructor(environment?: string | null, socketPath?: string, options?: { user?: string | null })
  environment: string
  config: Config | Record<string, never>
  socketPath: string
  user: string | null
  /** Unix seconds. */
  tokenExpiry: number | null
  get tokens(): Tokens | null
  login(username: string, password: string, answer?: Answer): Promise<Tokens>
  getToken(minValid?: number): Promise<Token>
  getIdToken(): Promise<string | null>
  refresh(): Promise<Tokens>
  newerToken(): Promise<string>
  getAuthorizationHeader(): Promise<string>
  headers(): Promise<{ Authorization: string }>
}

export function authenticateUser(
  username: string, password: string, environment?: string,
): Promise<Tokens & { expiresIn: number }>

/** maxWait: how many seconds to wait after a 429, once; default 30, 0 turns it off. */
export function kycFetch(
  target: string | URL, init?: RequestInit, auth?: CognitoAuth, options?: { maxWait?: number },
): Promise<Response>

export function defaultSocket(): string
